"""The half of `FleetTable` that shows: rows by id, the window on them, and what is painted when.

Only the rows on the screen are ever rendered, so the cost does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from qarax_tui.widgets import table_messages
from qarax_tui.widgets.cells import Cell, as_cell, sentence_line
from qarax_tui.widgets.columns import Column, Placed, place
from qarax_tui.widgets.palette import Palette
from qarax_tui.widgets.row_painter import PREFIX, header_line, row_line
from qarax_tui.widgets.selection import Selection

HEADER = 1


class TableBase(ScrollView):
    """Rows under a header; the cursor's row keeps its line on the screen."""

    empty = reactive("")
    """The sentence shown while there are no rows."""

    def __init__(self, columns: Sequence[Column], **names: str) -> None:
        """`names` are `id` and `classes`."""
        super().__init__(id=names.get("id"), classes=names.get("classes"))
        self.columns = tuple(columns)
        self._selection = Selection()
        self._getter: Callable[[str], Any] = lambda _: None
        self._cells: dict[str, tuple[Cell, ...]] = {}
        self._placed: tuple[Placed, ...] = ()
        self._palette: Palette | None = None
        self._sort: tuple[str, bool] = ("", False)
        self._shift = 0
        self._laid_out = 0

    # --- content -----------------------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[str]:
        """The ids shown, in order."""
        return self._selection.rows

    def set_rows(self, ids: Sequence[str], getter: Callable[[str], Any]) -> None:
        """Shows these ids in this order; cursor, marks and scroll stay with their objects."""
        before, anchors, top, shown = self._selection.cursor, self._anchors(), self._top, self._shown_rows
        self._getter = getter
        self._selection.replace(ids, lambda row: getter(row) is not None)
        self._fit_scroll_bar()
        self._keep_in_sight(anchors)
        if shown and top == self._top and len(shown) == len(self._shown_rows):
            self._repaint_moved(shown)
        else:
            self._cells.clear()
            self.refresh()
        self._tell_cursor(before)

    def update_rows(self, ids: Iterable[str]) -> None:
        """The objects of these rows changed: repaints the visible cells that differ."""
        changed = self._cells.keys() & ids
        for y, row in enumerate(self._shown_rows, HEADER):
            if row in changed:
                self._repaint_differing(row, y)
                changed.discard(row)
        for row in changed:
            del self._cells[row]

    def update_shown(self, concerned: Callable[[str], bool] = lambda _: True) -> None:
        """As `update_rows`, for the rows on the screen that are concerned."""
        self.update_rows([row for row in self._cells if concerned(row)])

    def set_sort(self, key: str, reverse: bool) -> None:
        """Draws the arrow."""
        self._sort = (key, reverse)
        self.refresh(Region(0, 0, self._width, HEADER))

    @property
    def visible_columns(self) -> tuple[str, ...]:
        """Keys of the columns that fit."""
        return tuple(placed.column.key for placed in self._placed)

    @property
    def cursor_id(self) -> str | None:
        """The object under the cursor; None when it went away and the cursor was not moved since."""
        return self._selection.cursor

    # --- following ---------------------------------------------------------------------------------------

    @property
    def _width(self) -> int:
        """Cells beside the scroll bar."""
        return self.scrollable_content_region.width

    @property
    def _shown_rows(self) -> Sequence[str]:
        """The ids on the screen."""
        return self.rows[self._top : self._top + self._body_height]

    @property
    def _top(self) -> int:
        return int(self.scroll_offset.y)

    @property
    def _body_height(self) -> int:
        return max(0, self.size.height - HEADER)

    def _anchors(self) -> list[tuple[str, int]]:
        """Rows that should keep their line on the screen through a new order, the most wanted first."""
        top, selection = self._top, self._selection
        shown = [(row, line) for line, row in enumerate(self._shown_rows)]
        cursor_line = selection.place - top
        if selection.cursor is not None and 0 <= cursor_line < len(shown):
            shown.insert(0, (selection.cursor, cursor_line))
        return shown

    def _keep_in_sight(self, anchors: list[tuple[str, int]]) -> None:
        """Scrolls so that the first anchor still in the list stays on its line; at the top, stays there."""
        if anchors and anchors[0][0] == self.cursor_id:
            (_, line), at = anchors[0], self._selection.place
        else:
            places = {row: place for place, row in enumerate(self.rows)} if anchors else {}
            line, at = next(((line, places[row]) for row, line in anchors if row in places), (0, self._top))
        stays_at_top = self._top == 0 and at < self._body_height
        self._scroll_to_row(0 if stays_at_top else at - line)

    def _scroll_to_row(self, top: int) -> None:
        most = max(0, len(self.rows) - self._body_height)
        self.scroll_to(y=max(0, min(most, top)), animate=False, force=True)

    def _clamp_cursor(self) -> None:
        top, height, place_ = self._top, self._body_height, self._selection.place
        if self.cursor_id is not None and not top <= place_ < top + height:
            before = self._selection.cursor
            self._selection.move_to_place(top if place_ < top else top + height - 1)
            self._tell_cursor(before)

    def _moving(self, move: Callable[[Selection], Any]) -> bool:
        """Moves the cursor, brings it into sight and repaints what that takes."""
        before = self._selection.cursor
        moved = move(self._selection)
        top, height, now_at = self._top, self._body_height, self._selection.place
        if now_at < top:
            self._scroll_to_row(now_at)
        elif height and now_at >= top + height:
            self._scroll_to_row(now_at - height + 1)
        self._tell_cursor(before)
        return moved is not False

    def _tell_cursor(self, before: str | None) -> None:
        after = self._selection.cursor
        if after != before:
            self._repaint_row(before)
            self._repaint_row(after)
            self.post_message(table_messages.Highlighted(self, after))

    # --- painting ----------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._lay_out()
        place_ = self._selection.place
        if self.cursor_id is not None and not self._top <= place_ < self._top + self._body_height:
            self._scroll_to_row(place_ - self._body_height // 2)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette = None

    def render_line(self, y: int) -> Strip:
        """The header, then the rows of the window."""
        palette = self._palette = self._palette or Palette(self, "fleet-table")
        width, at = self._width, self._top + y - HEADER
        if width != self._laid_out:
            self._lay_out()
        if y < HEADER:
            return header_line(self._placed, self._sort, width, palette)
        if not self.rows:
            return sentence_line(self.empty, y - HEADER, width, self._body_height, palette.empty)
        if at >= len(self.rows):
            return Strip.blank(width, palette.plain)
        row = self.rows[at]
        is_cursor, is_marked = row == self.cursor_id, self._selection.is_marked(row)
        cells = self._known_cells(row)
        return row_line(self._placed, cells, width, palette, is_cursor=is_cursor, is_marked=is_marked)

    def _known_cells(self, row: str) -> tuple[Cell, ...]:
        if len(self._cells) > 8 * (self._body_height + 1):
            self._cells.clear()
        if row not in self._cells:
            self._cells[row] = self._cells_of(row)
        return self._cells[row]

    def _lay_out(self) -> None:
        self._laid_out = self._width
        gap = int(self.show_vertical_scrollbar)  # figures do not touch the bar
        self._placed = place(self.columns, self._width - gap, PREFIX, self._shift)
        self._cells.clear()
        self._fit_scroll_bar()
        self.refresh()

    def _cells_of(self, row: str) -> tuple[Cell, ...]:
        record = self._getter(row)
        if record is None:
            return tuple(Cell("") for _ in self._placed)
        return tuple(as_cell(placed.column.cell(record)) for placed in self._placed)

    def _repaint_moved(self, shown: Sequence[str]) -> None:
        """Repaints the lines that have another row now, and the cells that differ on the others."""
        now = self._shown_rows
        kept = {row: self._cells[row] for row in now if row in self._cells}
        self._cells = kept
        for y, (was, row) in enumerate(zip(shown, now, strict=True), HEADER):
            if row in kept:
                self._repaint_differing(row, y)
            if was != row or row not in kept:
                self.refresh(Region(0, y, self._width, 1))

    def _fit_scroll_bar(self) -> None:
        """The scroll bar for this many rows, without laying out the whole screen for it."""
        size = Size(self._width, len(self.rows) + HEADER)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)

    def _repaint_differing(self, row: str, y: int) -> None:
        old, new = self._cells[row], self._cells_of(row)
        if old == new:
            return
        self._cells[row] = new
        for placed, was, now in zip(self._placed, old, new, strict=True):
            if was != now:
                self.refresh(Region(placed.x, y, placed.width, 1))

    def _repaint_row(self, row: str | None) -> None:
        shown = self._shown_rows
        if row is not None and row in shown:
            self.refresh(Region(0, shown.index(row) + HEADER, self._width, 1))
