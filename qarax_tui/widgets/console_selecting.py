"""The mouse in a console: what is dragged over is selected, and told as text when the button is let go.

A selection is made of places in the log, so it stays on its text while the console goes on. Dragging beyond
an edge scrolls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rich.cells import get_character_cell_size

from qarax_tui.widgets import console_messages
from qarax_tui.widgets.console_moving import ConsoleMoving
from qarax_tui.widgets.console_painter import TIME_WIDTH
from qarax_tui.widgets.console_window import Place, Row, Stretch

if TYPE_CHECKING:
    from textual import events


class ConsoleSelecting(ConsoleMoving):
    """Selects by itself: Textual's own selection knows no lines that scroll away, nor looking sideways."""

    ALLOW_SELECT = False
    Selected: TypeAlias = console_messages.Selected
    _pressed: Place | None = None

    def clear_selection(self) -> bool:
        """False when nothing was selected."""
        was, self.selection = self.selection, None
        self.refresh()
        return was is not None

    def selected_text(self) -> str:
        """The selected part of the lines that are shown, without times; "" when there is none."""
        stretch, window = self.selection, self.window
        if stretch is None or window is None:
            return ""
        first = stretch.first[0]
        lines = window.ring.lines(first, stretch.last[0] - first + 1)
        shown = [
            (line.number, Row(line, line.text, 0, 0).shown) for line in lines if window.shows(line.number)
        ]
        return "\n".join(text[slice(*stretch.within(number, len(text)))] for number, text in shown)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1 and self._rows:
            self.clear_selection()
            self.capture_mouse()
            self._pressed = self._place(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed is None:
            return
        if not 0 <= event.y < self.size.height:
            self._scroll_rows(-1 if event.y < 0 else 1)
        first, last = sorted((self._pressed, self._place(event)))
        self.selection = Stretch(first, (last[0], last[1] + 1))
        self.refresh()

    def on_mouse_up(self) -> None:
        if self._pressed is not None:
            self._pressed = None
            self.release_mouse()
            if text := self.selected_text():
                self.post_message(self.Selected(self, text))

    def _place(self, event: events.MouseEvent) -> Place:
        row = self._rows[max(0, min(event.y, len(self._rows) - 1))]
        cells = event.x - (TIME_WIDTH if self._show_times else 0) + (0 if row.line.kind else self._x)
        return row.line.number, row.at + _characters(row.shown, cells)


def _characters(text: str, cells: int) -> int:
    """How many characters end within so many cells."""
    for place, character in enumerate(text):
        cells -= get_character_cell_size(character)
        if cells < 0:
            return place
    return len(text)
