"""What stands on the terminal, so that only what differs is written.

Textual writes each line that a widget asks to be painted anew, changed or not: 25 KB for a list of 50 lines
that scrolls by one. `Painted` remembers every cell that was written and writes those that differ; lines that
only moved are moved by the terminal itself (`scrolling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.color import ColorSystem
from rich.console import Console
from textual._compositor import CompositorUpdate

from qarax_tui.terminal.frame import Piece, pieces_of, size_of
from qarax_tui.terminal.lines import UNKNOWN, Line, differences, put
from qarax_tui.terminal.scrolling import find_scroll

_WORTH_A_SCROLL = 4
"""Lines; a frame with fewer is written without looking for some that only moved."""


class Painted:
    """The cells of one terminal."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def forget(self) -> None:
        """Something else may have written to the terminal: what is asked for next is written whole."""
        self._lines = []

    def differing(self, update: CompositorUpdate) -> CompositorUpdate:
        """The update without what is there already. Whoever renders it has to write what that gives."""
        return _Differing(self, update)

    def write(self, update: CompositorUpdate, colours: ColorSystem) -> str:
        """The characters that bring an update on the terminal, on which it is from now on."""
        self._fit(*size_of(update))
        pieces = [piece for piece in pieces_of(update, colours) if piece[0] < len(self._lines)]
        wanted: dict[int, Line] = {}
        for y, x, cells in pieces:
            if y not in wanted:
                wanted[y] = self._lines[y].copy()
            put(wanted[y], x, cells)
        text = self._scrolled(wanted, pieces) or differences(wanted, self._lines)
        for y, line in wanted.items():
            self._lines[y] = line
        return text

    def _scrolled(self, wanted: Mapping[int, Line], pieces: Sequence[Piece]) -> str:
        """The same by moving lines; empty when few moved, or one would whose cells are not all known."""
        if len(wanted) < _WORTH_A_SCROLL:
            return ""
        _, x, cells = max(pieces, key=lambda piece: len(piece[2]))
        scroll = find_scroll(wanted, self._lines, slice(x, x + len(cells)))
        if scroll is None:
            return ""
        target = {y: wanted.get(y, self._lines[y]) for y in (*wanted, *scroll.lines)}
        if any(UNKNOWN in target[y] for y in scroll.lines):
            return ""
        return scroll.sequence + differences(target, scroll.applied(self._lines))

    def _fit(self, width: int, height: int) -> None:
        if (width, height) != (len(self._lines[0]) if self._lines else 0, len(self._lines)):
            self._lines = [[UNKNOWN] * width for _ in range(height)]


class _Differing(CompositorUpdate):
    """An update on its way to the terminal."""

    def __init__(self, painted: Painted, update: CompositorUpdate) -> None:
        self._painted, self._update = painted, update

    def render_segments(self, console: Console) -> str:
        """As Textual asks for it; what goes wrong leaves nothing known."""
        try:
            colours = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as Strip.render does
            return self._painted.write(self._update, colours)
        except Exception:
            self._painted.forget()
            raise
