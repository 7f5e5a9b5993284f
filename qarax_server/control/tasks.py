"""Work that belongs to the server, not to the connection that asked for it.

An action that began goes on when its client hangs up, and a stopping server waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks until they have ended: `asyncio.wait_for`, used by aiopg, can swallow a cancellation."""
    pending = {task for task in tasks if task is not None and not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)


class Tasks:
    """The running actions."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end whatever becomes of the caller, and return the result to it."""
        return await asyncio.shield(self.start(work))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run in the background; a failure that nobody awaits is logged."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, seconds: float) -> int:
        """Wait for what runs, at most so long, then cancel; return how many were cancelled."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        late = [task for task in self._running if not task.done()]
        await end(*late)
        return len(late)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("an action ended with %s: %s", type(error).__name__, error)
