"""Lines of the terminal as cells, and what to write to make one of another.

A cell is what stands in one column: its character and how it is painted. Text whose characters are not one
column each (wide, combining) is kept whole, as a `lump` over the columns it should take: how many it does
take is the terminal's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TypeAlias

HOLE = "\0"
"""Stands for the text in a cell's paint; no text holds it."""

Cell: TypeAlias = tuple[str, str] | tuple[str, str, int]
"""Character and paint; of a lump its painted text (in its first column), `HOLE` and the column in it."""

Line: TypeAlias = list[Cell]

UNKNOWN: Cell = ("", "")

_NEAR = 8
"""Columns from a changed cell to the next one; what is between is written too, to pass over it costs more."""

_paint = itemgetter(1)


def lump(text: str, width: int) -> Iterable[Cell]:
    """Painted text over so many columns."""
    return ((text if column == 0 else "", HOLE, column) for column in range(width))


def put(line: Line, x: int, cells: Sequence[Cell]) -> None:
    """Writes over part of a line; of a lump that is cut, what is left is not known any more."""
    end = min(x + len(cells), len(line))
    if x < end:
        for start, stop in ((_lump_start(line, x), x), (end, _lump_end(line, end))):
            line[start:stop] = [UNKNOWN] * (stop - start)
        line[x:end] = cells[: end - x]


def differences(wanted: Mapping[int, Line], there: Sequence[Line]) -> str:
    """The characters that make the wanted lines of what is there."""
    return "".join(
        part
        for y, line in wanted.items()
        if line != there[y]
        for start, stop in _runs(_differing(line, there[y]))
        for part in _written(line, y, start, stop)
    )


def _differing(line: Line, there: Line) -> Sequence[int]:
    """The columns that differ; from a lump on, whose end is uncertain, all that follow."""
    columns = [x for x, (cell, old) in enumerate(zip(line, there, strict=True)) if cell != old]
    for place, x in enumerate(columns):
        if len(line[x]) == 3:  # noqa: PLR2004 - a lump, see Cell
            return [*columns[:place], *range(_lump_start(line, x), len(line))]
    return columns


def _runs(columns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Columns that are near to each other as one run, from and to."""
    breaks = [place for place, (x, next_x) in enumerate(pairwise(columns), 1) if next_x > x + _NEAR]
    for first, end in pairwise([0, *breaks, len(columns)] if columns else []):
        yield columns[first], columns[end - 1] + 1


def _written(line: Line, y: int, start: int, stop: int) -> Iterator[str]:
    """A run of cells; one that nobody knows stays as it is."""
    x, sure = start, False
    for paint, group in groupby(line[start:stop], _paint):
        texts = [cell[0] for cell in group]
        if paint and not sure:
            yield f"\x1b[{y + 1};{x + 1}H"
        yield paint.replace(HOLE, "".join(texts))
        x, sure = x + len(texts), paint not in ("", HOLE)


def _lump_start(line: Line, x: int) -> int:
    """The first column of the lump that column `x` is in; `x` when it is in none."""
    cell = line[x]
    return x - cell[2] if len(cell) == 3 else x  # noqa: PLR2004 - a lump, see Cell


def _lump_end(line: Line, x: int) -> int:
    """The first column from `x` on that is not the rest of a lump that began before it."""
    return next((at for at in range(x, len(line)) if _lump_start(line, at) == at), len(line))
