"""Steps under way beside whoever asked for them: run to their end or cut, their failures never lost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

LOGGER = logging.getLogger(__name__)


class Steps:
    """Those of one owner or of many; `told` are failures that whoever asked is told of: no log needs them."""

    def __init__(self, owner: str = "", told: tuple[type[Exception], ...] = ()) -> None:
        self._owner = owner
        self._told = told
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, step: Coroutine[Any, Any, None], owner: str = "") -> asyncio.Task[None]:
        """Run a step from now on."""
        task = asyncio.create_task(step, name=owner or self._owner)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    @property
    def under_way(self) -> frozenset[asyncio.Task[None]]:
        """Those that have not ended."""
        return frozenset(self._tasks)

    def cut(self) -> None:
        """End them where they are."""
        for task in self.under_way:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, self._told):
            LOGGER.error("%s: %s", task.get_name(), error, exc_info=error)
