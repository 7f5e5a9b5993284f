"""What Textual wants on the screen, as cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TypeAlias

from rich.cells import cell_len
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from qarax_tui.terminal.lines import HOLE, Cell, lump

Piece: TypeAlias = tuple[int, int, list[Cell]]
"""Line, column, and the cells from there on."""


def size_of(update: CompositorUpdate) -> tuple[int, int]:
    """Columns and lines of the screen an update is for; (0, 0) when it does not say."""
    if isinstance(update, LayoutUpdate):
        return update.region.right, update.region.bottom
    if isinstance(update, ChopsUpdate) and update.chop_ends:
        return update.chop_ends[0][-1], len(update.chops)
    return 0, 0


def pieces_of(update: CompositorUpdate, colours: ColorSystem) -> Iterator[Piece]:
    """All that an update writes."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield y, update.region.x, [cell for strip in strips for cell in cells_of(strip, colours)]
    elif isinstance(update, ChopsUpdate):
        for y, start, stop in update.spans:
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x < stop and end > start:
                    yield y, x, cells_of(strip.crop(0, min(end, stop) - x), colours)


def cells_of(strip: Strip, colours: ColorSystem) -> list[Cell]:
    """The cells of a strip, one per column."""
    cells: list[Cell] = []
    for text, style, _ in strip:
        paint = HOLE if style is None else Strip.render_style(style, HOLE, colours)
        if text.isascii() or all(cell_len(character) == 1 for character in text):
            cells.extend(zip(text, repeat(paint)))
        else:
            cells.extend(lump(paint.replace(HOLE, text), cell_len(text)))
    return cells
