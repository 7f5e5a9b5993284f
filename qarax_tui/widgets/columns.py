"""Which columns of a table fit on a screen, and how wide each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from qarax_tui.widgets.cells import Cell

GAP = 2
LEAST_WIDTH = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    `cell` turns a row's object into what is printed; a str is printed as it is, never parsed. `width` is the
    number of cells wanted, `grow` the share of what is left over. When the screen is narrow the columns with
    the highest `priority` go first; those with 0 stay and shrink.
    """

    key: str
    label: str
    cell: Callable[[Any], Cell | str] = field(repr=False)
    width: int = 12
    grow: int = 0
    priority: int = 0
    align: Literal["left", "right"] = "left"
    sortable: bool = True


class Placed(NamedTuple):
    """A column that is shown: from cell `x` on, `width` wide."""

    column: Column
    x: int
    width: int


def place(columns: Sequence[Column], width: int, start: int, shift: int = 0) -> tuple[Placed, ...]:
    """The columns that fit into `width` cells from `start` on.

    `shift` skips so many columns after the first, to look at those that did not fit.
    """
    wanted = [*columns[:1], *columns[1 + shift :]]
    shown = _drop_from_the_right(wanted, width - start) if shift else _drop_by_priority(wanted, width - start)
    widths = _grow_or_shrink(shown, width - start)
    placed, x = [], start
    for column, wide in zip(shown, widths, strict=True):
        placed.append(Placed(column, x, wide))
        x += wide + GAP
    return tuple(placed)


def _needed(columns: Sequence[Column]) -> int:
    return sum(column.width + GAP for column in columns) - GAP


def _drop_by_priority(columns: list[Column], room: int) -> list[Column]:
    shown = list(columns)
    while _needed(shown) > room and len(shown) > 1 and any(column.priority for column in shown):
        shown.remove(max(reversed(shown), key=lambda column: column.priority))
    return shown


def _drop_from_the_right(columns: list[Column], room: int) -> list[Column]:
    shown = list(columns)
    while _needed(shown) > room and len(shown) > 2:  # noqa: PLR2004 - the first and one other stay
        shown.pop()
    return shown


def _grow_or_shrink(columns: Sequence[Column], room: int) -> list[int]:
    widths = [column.width for column in columns]
    spare = room - _needed(columns)
    shares = sum(column.grow for column in columns)
    if spare > 0 and shares:
        widths = [wide + spare * column.grow // shares for wide, column in zip(widths, columns, strict=True)]
        widths[0] += room - sum(widths) - GAP * (len(widths) - 1) if columns[0].grow else 0
    while sum(widths) + GAP * (len(widths) - 1) > room and max(widths) > LEAST_WIDTH:
        widths[widths.index(max(widths))] -= 1
    return widths
