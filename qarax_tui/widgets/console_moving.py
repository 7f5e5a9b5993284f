"""Moving through a console: keys, the wheel and the scroll bar. Where that leads is in `console_window`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from qarax_tui.client.errors import ClientError
from qarax_tui.widgets.console_base import ConsoleBase

if TYPE_CHECKING:
    from textual import events
    from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp

WHEEL = 3


class ConsoleMoving(ConsoleBase):
    """Going up ends following, coming to the end begins it."""

    def action_rows(self, by: int) -> None:
        self._scroll_rows(by)

    def action_pages(self, by: int) -> None:
        self._scroll_rows(by * max(1, self.size.height - 1))

    def action_oldest(self) -> None:
        self._to_oldest()

    @work(exclusive=True, group="console-newest", exit_on_error=False)
    async def _to_oldest(self) -> None:
        if self.window is None or self.feed is None:
            return
        try:
            await self.feed.to_oldest()
        except ClientError as error:
            self.post_message(self.Searched(self, error.sentence))
        self.window.scroll_to_index(0)
        self.window.follow = False
        self.update_window()

    def action_newest(self) -> None:
        self._to_newest()

    def action_sideways(self, by: int) -> None:
        if not self.wrap:
            longest = max((len(row.text) for row in self._rows), default=0)
            self._x = max(0, min(longest - 1, self._x + by * max(1, self._width // 2)))
            self.refresh()

    def _scroll_rows(self, rows: int) -> None:
        if self.window is not None:
            self.window.scroll(rows)
            self.update_window()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._scroll_rows(WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._scroll_rows(-WHEEL)

    def on_scroll_to(self, event: ScrollTo) -> None:
        """The operator drags the scroll bar."""
        event.stop()
        event.prevent_default()
        if self.window is not None and event.y is not None:
            self.window.scroll_to_index(round(event.y))
            self.update_window()

    def on_scroll_up(self, event: ScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.action_pages(-1)

    def on_scroll_down(self, event: ScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.action_pages(1)
