"""Typing into a guest: from the claim on until the operator leaves, no key means anything to the dashboard.

A key typed before the claim is answered waits for the answer. After a claim that was refused or lost the keys
go nowhere: what is being typed is for the guest, and in the middle of a word `p` must not pause it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from textual import work
from textual.reactive import reactive

from qarax_tui.client.errors import ClientError
from qarax_tui.widgets import console_messages
from qarax_tui.widgets.console_selecting import ConsoleSelecting
from qarax_tui.widgets.guest_keys import LEAVE, key_bytes, pasted_bytes

if TYPE_CHECKING:
    from textual import events

    from qarax_tui.client.console import ConsoleFeed
    from qarax_tui.client.console_input import InputState


class ConsoleTyping(ConsoleSelecting):
    """`claim` begins, ctrl-] or F12 ends; `input_mode` tells which it is."""

    InputChanged: TypeAlias = console_messages.InputChanged
    input_mode: reactive[bool] = reactive(default=False)
    _told_input: InputState | None = None
    _typed = b""
    _sending = False

    def feed_changed(self, feed: ConsoleFeed) -> None:
        """Once per batch."""
        if feed.input != self._told_input:
            self._told_input = feed.input
            self.post_message(self.InputChanged(self, feed.input))
            self._type(b"")
        super().feed_changed(feed)

    def claim(self, *, takeover: bool = False) -> None:
        """Ask for the input; `takeover` ends another's claim."""
        self.input_mode = True
        self._ask_for_input(takeover=takeover)

    def watch_input_mode(self, typing: bool) -> None:
        if not typing:
            self._typed = b""
            self._give_back()

    def on_key(self, event: events.Key) -> None:
        if not self.input_mode:
            return
        event.stop()
        event.prevent_default()
        if event.key in LEAVE:
            self.input_mode = False
        elif data := key_bytes(event.key, event.character):
            self._type(data)

    def on_paste(self, event: events.Paste) -> None:
        if self.input_mode:
            event.stop()
            self._type(pasted_bytes(event.text))

    def _type(self, data: bytes) -> None:
        state = self.feed.input if self.feed is not None else None
        if state is None or not (state.attached or state.asked):
            self._typed = b""
            return
        self._typed += data
        if state.attached and self._typed:
            self._send_typed()

    @work(group="console-input", exit_on_error=False)
    async def _ask_for_input(self, *, takeover: bool) -> None:
        try:
            if self.feed is not None:
                await self.feed.attach(takeover=takeover)
        except ClientError as error:
            self.post_message(self.Searched(self, error.sentence))

    @work(group="console-input", exit_on_error=False)
    async def _give_back(self) -> None:
        try:
            if self.feed is not None and (self.feed.input.attached or self.feed.input.asked):
                await self.feed.detach()
        except ClientError as error:
            self.post_message(self.Searched(self, error.sentence))

    @work(group="console-typed", exit_on_error=False)
    async def _send_typed(self) -> None:
        """Sends what was typed, in order: only one sends, the others leave it their keys."""
        if self._sending:
            return
        self._sending = True
        try:
            while self.feed is not None and self._typed:
                data, self._typed = self._typed, b""
                await self.feed.send(data)
        except ClientError as error:
            self._typed = b""
            self.post_message(self.Searched(self, str(error)))
        finally:
            self._sending = False
