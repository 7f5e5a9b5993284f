"""Work that goes on after its request was answered: one task per subject, ended with the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

from qarax_server.control.tasks import end

log = logging.getLogger(__name__)


class Background:
    """The running tasks by their subject's id."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beginning: set[str] = set()

    def __contains__(self, subject_id: str) -> bool:
        return subject_id in self._tasks or subject_id in self._beginning

    @contextlib.contextmanager
    def beginning(self, subject_id: str) -> Iterator[None]:
        """Between its commit and its task work is nobody's to take up."""
        self._beginning.add(subject_id)
        try:
            yield
        finally:
            self._beginning.discard(subject_id)

    def start(self, subject_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin work on a subject; it acts for the caller of this moment."""
        task = asyncio.create_task(work, name=subject_id)
        self._tasks[subject_id] = task
        task.add_done_callback(self._ended)

    def cancel(self, subject_id: str) -> None:
        """Ask the work on a subject to end, if there is any."""
        if task := self._tasks.get(subject_id):
            task.cancel()

    async def wait(self, subject_id: str) -> None:
        """Return when no work on the subject is left."""
        if task := self._tasks.get(subject_id):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(task)

    async def stop(self, subject_id: str) -> None:
        """End the work on a subject, if there is any, and return when it has ended."""
        await end(self._tasks.get(subject_id))

    async def close(self) -> None:
        """End all work; what it was about is taken up by the next start."""
        await end(*self._tasks.values())

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._tasks.get(task.get_name()) is task:
            del self._tasks[task.get_name()]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work on %s ended in an error", task.get_name(), exc_info=error)
