"""A table of any size that stays on the object the operator saw.

    table = FleetTable(columns, id="vms")
    table.set_rows(ids, getter)         # ids in the order to show; getter(id) → row object or None
    table.update_rows(ids)              # these objects changed: only visible cells that differ are painted
    table.cursor_id, table.marked, table.targets()

Cursor, marks and scroll are held by id (`selection`), columns by width (`columns`); text is never parsed.
Order and filter are the caller's (`client.ordering`); `set_sort` only draws the arrow. How rows are shown is
in `table_base`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual.binding import Binding

from qarax_tui.widgets import table_messages
from qarax_tui.widgets.cells import Cell
from qarax_tui.widgets.columns import Column
from qarax_tui.widgets.palette import TONE_NAMES
from qarax_tui.widgets.table_base import HEADER, TableBase

if TYPE_CHECKING:
    from textual import events
    from textual.message import Message
    from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp

__all__ = ["Cell", "Column", "FleetTable"]


class FleetTable(TableBase, can_focus=True):
    """Rows by id under a fixed header."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "fleet-table--header",
        "fleet-table--cursor",
        "fleet-table--marked",
        "fleet-table--empty",
        *(f"fleet-table--{tone}" for tone in TONE_NAMES),
    }
    DEFAULT_CSS = """
    FleetTable {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .fleet-table--header { text-style: bold; color: $text-muted; }
        & > .fleet-table--cursor { background: $block-cursor-blurred-background; }
        &:focus > .fleet-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
        & > .fleet-table--marked { color: $accent; text-style: bold; }
        & > .fleet-table--empty { color: $text-muted; }
        & > .fleet-table--good { color: $text-success; }
        & > .fleet-table--warn { color: $text-warning; }
        & > .fleet-table--bad { color: $text-error; }
        & > .fleet-table--busy { color: $text-accent; }
        & > .fleet-table--dim { color: $text-muted; }
        & > .fleet-table--strong { text-style: bold; }
        & > .fleet-table--match { text-style: underline; }
    }
    """
    BINDINGS: ClassVar = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
        Binding("enter", "activate", "Open", show=False),
        Binding("left", "shift(-1)", "Columns left", show=False),
        Binding("right", "shift(1)", "Columns right", show=False),
    ]

    Highlighted: TypeAlias = table_messages.Highlighted
    Activated: TypeAlias = table_messages.Activated
    MarksChanged: TypeAlias = table_messages.MarksChanged
    SortRequested: TypeAlias = table_messages.SortRequested

    # --- cursor and marks --------------------------------------------------------------------------------

    @property
    def marked(self) -> frozenset[str]:
        """The marked ids in the list."""
        return self._selection.marked

    def targets(self) -> tuple[str, ...]:
        """What an action acts on: the marked rows in order, else the cursor's, else nothing."""
        return self._selection.targets()

    def move_to(self, row_id: str) -> bool:
        """Puts the cursor on an id; False when it is not in the list."""
        return self._moving(lambda selection: selection.move_to(row_id))

    def toggle_mark(self, row_id: str | None = None) -> None:
        """Marks or unmarks a row, the cursor's by default."""
        row = row_id or self.cursor_id
        if row is not None:
            self._selection.toggle(row)
            self._repaint_row(row)
            self._tell_marks()

    def mark_all(self) -> None:
        """Marks every row of the list."""
        self._selection.mark_all()
        self.refresh()
        self._tell_marks()

    def clear_marks(self) -> None:
        """Takes all marks away."""
        self._selection.clear_marks()
        self.refresh()
        self._tell_marks()

    # --- actions -----------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._moving(lambda selection: selection.move(by))

    def action_page(self, by: int) -> None:
        self._moving(lambda selection: selection.move(by * max(1, self._body_height - 1)))

    def action_first(self) -> None:
        self._moving(lambda selection: selection.move_to_place(0))

    def action_last(self) -> None:
        self._moving(lambda selection: selection.move_to_place(len(selection.rows)))

    def mark_and_go_on(self) -> None:
        """Marks and goes on; with nothing under the cursor it does nothing, moving included."""
        if self.cursor_id is not None:
            self.toggle_mark()
            self.action_move(1)

    def action_activate(self) -> None:
        if self.cursor_id is not None:
            self.post_message(table_messages.Activated(self, self.cursor_id))

    def action_shift(self, by: int) -> None:
        """Looks at the columns that did not fit; back to the usual ones with left."""
        hidden = len(self.columns) - len(self._placed)
        if by < 0 or hidden or self._shift:
            most = max(0, len(self.columns) - 2)
            self._shift = max(0, min(most, self._shift + by))
            self._lay_out()

    # --- mouse -------------------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < HEADER:
            self._click_header(offset.x)
            return
        target = self._top + offset.y - HEADER
        if target < len(self.rows):
            row = self.rows[target]
            self.move_to(row)
            if event.ctrl or event.shift:
                self.toggle_mark(row)
            elif event.chain == 2:  # noqa: PLR2004 - a double click
                self.post_message(table_messages.Activated(self, row))

    def _click_header(self, x: int) -> None:
        for column, start, width in self._placed:
            if start <= x <= start + width and column.sortable:
                self.post_message(table_messages.SortRequested(self, column.key))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -3)

    def _wheel(self, event: Message, by: int) -> None:
        """Scrolls, and takes the cursor along at the edges: an action never meets a row out of sight."""
        event.stop()
        event.prevent_default()
        self._scroll_to_row(self._top + by)
        self._clamp_cursor()

    def on_scroll_to(self, event: ScrollTo) -> None:
        """The operator drags the scroll bar."""
        event.stop()
        event.prevent_default()
        if event.y is not None:
            self._scroll_to_row(round(event.y))
            self._clamp_cursor()

    def on_scroll_up(self, event: ScrollUp) -> None:
        self._wheel(event, -self._body_height)

    def on_scroll_down(self, event: ScrollDown) -> None:
        self._wheel(event, self._body_height)

    def _tell_marks(self) -> None:
        self.post_message(table_messages.MarksChanged(self, self.marked))
