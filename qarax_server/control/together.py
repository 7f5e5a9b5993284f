"""What several requests want at about the same time, done in one transaction.

Whoever comes while nothing runs begins at once; whoever comes meanwhile waits for the next run, with all the
others. So under load a transaction's fixed cost (round trips, the events' lock, the wait for the disk) is
shared, and one request alone is not slower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from qarax_server.control.tasks import Tasks
from qarax_server.errors import DatabaseUnavailable

T = TypeVar("T")
R = TypeVar("R")

MOST = 50
Outcomes = Sequence[R | Exception | None]
Waiting = tuple[T, "asyncio.Future[R]"]


class Together(Generic[T, R]):
    """One kind of work.

    Args:
        tasks: where a run belongs, so that a stopping server waits for it.
        work: does it for all of some items and returns an outcome for each, in their order; an exception is
            raised where the item came from, None has it tried again with those that wait by then.
    """

    def __init__(self, tasks: Tasks, work: Callable[[Sequence[T]], Awaitable[Outcomes[R]]]) -> None:
        self._tasks = tasks
        self._work = work
        self._waiting: list[Waiting[T, R]] = []
        self._runs = False

    async def do(self, item: T) -> R:
        """Have an item worked on, with those that wait as well, and return its outcome."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._runs:
            self._runs = True
            self._tasks.start(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while batch := self._waiting[:MOST]:
                del self._waiting[:MOST]
                await self._do(batch)
        finally:
            self._runs = False

    async def _do(self, batch: Sequence[Waiting[T, R]]) -> None:
        """Work on a batch; when it fails for what is wrong with one of them, on each alone."""
        try:
            outcomes = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised where the item came from
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailable):
                for each in batch:
                    await self._do([each])
                return
            outcomes = [error] * len(batch)
        for each, outcome in zip(batch, outcomes, strict=True):
            self._tell(each, outcome)

    def _tell(self, waiting: Waiting[T, R], outcome: R | Exception | None) -> None:
        future = waiting[1]
        if outcome is None:
            self._waiting.append(waiting)
        elif future.done():  # whoever waited was cancelled
            return
        elif isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
