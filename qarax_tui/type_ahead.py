"""Keys in order: each is given out when everything that the one before it caused has happened.

Keys come in bursts: a slow line, a paste without brackets, a fast hand. Textual gives each to what has the
focus when it comes, so that the letters after `/` would act on the list while the filter's line is opened.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from textual import events
from textual.app import App

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

_LONGEST_SECONDS = 3.0
"""So long a widget may keep the next key waiting."""
_LOOK_SECONDS = 0.05
"""One that was closed meanwhile never answers: so often that is looked for."""
_ROUNDS = 5


class TypeAhead(App[int], inherit_bindings=False):
    """Mixed into the app."""

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Event] = deque()
        self._giving_out: asyncio.Task[None] | None = None

    @property
    def keys_waiting(self) -> bool:
        """Whether keys came whose turn has not come, or whose work is not done."""
        return self._giving_out is not None

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._typed.append(event)
        if self._giving_out is None:
            self._giving_out = asyncio.create_task(self._give_out())

    async def _give_out(self) -> None:
        try:
            while self._typed and self._screen_stack:
                await super().on_event(self._typed.popleft())
                await self._settle()
        finally:
            self._giving_out = None

    async def _settle(self) -> None:
        """Returns when all on the key's way have handled their messages, and screen and focus stay."""
        for _ in range(_ROUNDS):
            if not self._screen_stack:
                return
            before = (self.screen, self.focused)
            for pump in (self.focused or self.screen).ancestors_with_self:
                await _handled(pump)
            if self._screen_stack and before == (self.screen, self.focused):
                break


async def _handled(pump: MessagePump) -> None:
    """Returns when a widget has handled what is in its queue now."""
    done, until = asyncio.Event(), time.monotonic() + _LONGEST_SECONDS
    if pump.post_message(events.Callback(callback=done.set)):
        while pump.is_running and not done.is_set() and time.monotonic() < until:
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _LOOK_SECONDS)
