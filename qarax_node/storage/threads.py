"""Blocking file work in threads of its own, a few per pool, each with a deadline.

Storage that hangs (a network file system whose server is gone) holds a thread for as long as it hangs. These
threads are daemons and counted per pool: calls to such a pool end at their deadline, while everything else,
and the node's own end, goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, TypeVar

from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_PER_POOL = 16

T = TypeVar("T")

_busy: Counter[str] = Counter()
_waiting: dict[str, deque[asyncio.Future[None]]] = {}


async def run(pool: str, seconds: float, work: Callable[[], T]) -> T:
    """Do `work` and return its result. Raises NodeError `storage_stalled` when it does not end in time."""
    try:
        async with asyncio.timeout(seconds):
            await _turn(pool)
            return await asyncio.shield(_begin(pool, work))
    except TimeoutError:
        raise NodeError(
            f"the storage at {pool} did not answer in {seconds:.0f} s; look at its file system on this host",
            code="storage_stalled",
            kind="unavailable",
        ) from None


async def _turn(pool: str) -> None:
    """Wait until this pool may have another thread, and count it."""
    while _busy[pool] >= MOST_PER_POOL:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _waiting.setdefault(pool, deque()).append(turn)
        await turn
    _busy[pool] += 1


def _begin(pool: str, work: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def work_and_tell() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  carried over to who waits
            _tell(loop, _fail, pool, result, error)
        else:
            _tell(loop, _succeed, pool, result, value)

    threading.Thread(target=work_and_tell, daemon=True, name=f"storage {pool}").start()
    return result


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *arguments: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell, *arguments)


def _release(pool: str) -> None:
    _busy[pool] -= 1
    if not _busy[pool]:
        del _busy[pool]
    waiting = _waiting.get(pool, deque())
    while waiting:
        turn = waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            return
    _waiting.pop(pool, None)


def _succeed(pool: str, result: asyncio.Future[T], value: T) -> None:
    _release(pool)
    if not result.done():
        result.set_result(value)


def _fail(pool: str, result: asyncio.Future[T], error: BaseException) -> None:
    _release(pool)
    if not result.done():
        result.set_exception(error)
        result.exception()  # retrieved: who waited may have gone
