"""Lines of a `FleetTable`: cells in their columns become one strip, a segment per cell.

A segment per cell, the blanks behind it included, is what lets the compositor write a single changed cell to
the terminal, and a whole row in few bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip

from qarax_tui.widgets.cells import Cell, fit

if TYPE_CHECKING:
    from rich.style import Style

    from qarax_tui.widgets.columns import Column, Placed
    from qarax_tui.widgets.palette import Palette

CURSOR_SIGN = "›"
MARK_SIGN = "✓"
PREFIX = 2
"""Cells before the first column: the cursor's sign and the mark's."""

Run = tuple[int, int, str, "Style"]


def header_line(placed: Sequence[Placed], sort: tuple[str, bool], width: int, palette: Palette) -> Strip:
    """The labels, the sorted column's with an arrow."""
    style = palette.header
    return _line(
        [(x, wide, _label(column, sort, wide), style) for column, x, wide in placed], width, style, ""
    )


def row_line(
    placed: Sequence[Placed],
    cells: Sequence[Cell],
    width: int,
    palette: Palette,
    *,
    is_cursor: bool,
    is_marked: bool,
) -> Strip:
    """A row. Under the cursor its colours give way to the cursor's, the words stay."""
    base = palette.row(is_cursor=is_cursor, is_marked=is_marked)
    sign = (CURSOR_SIGN if is_cursor else " ") + (MARK_SIGN if is_marked else " ")
    runs = [
        (x, wide, fit(cell.text, wide, column.align), base if is_cursor else palette.toned(base, cell.tone))
        for (column, x, wide), cell in zip(placed, cells, strict=True)
    ]
    return _line(runs, width, base, sign)


def _label(column: Column, sort: tuple[str, bool], wide: int) -> str:
    key, label = column.key, column.label
    if key != sort[0]:
        return fit(label, wide, column.align)
    arrow = "▼" if sort[1] else "▲"
    return fit(f"{fit(label, min(len(label), wide - 1))}{arrow}", wide, column.align)


def _line(runs: Sequence[Run], width: int, base: Style, sign: str) -> Strip:
    segments, at = [Segment(fit(sign, min(PREFIX, width)), base)], PREFIX
    ends = [*(x for x, *_ in runs[1:]), max(width, PREFIX)]
    for (x, wide, text, style), end in zip(runs, ends, strict=True):
        at = max(end, x + wide)
        segments.append(Segment(text + " " * (at - x - wide), style))
    return Strip(segments, max(at, width)).crop(0, width)
