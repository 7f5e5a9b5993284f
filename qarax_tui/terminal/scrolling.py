"""Lines that only moved: found, and moved by the terminal itself.

The lines between two are a scroll region (DECSTBM) for a moment, in which lines are deleted at the top (what
is below moves up) or inserted (down). Every terminal since the VT102 does that, tmux and the Linux console
included. A scroll region is as wide as the screen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qarax_tui.terminal.lines import UNKNOWN, Line

_ENOUGH = 3
"""Lines that moved alike; fewer may do so by chance."""


@dataclass(frozen=True, slots=True)
class Scroll:
    """Lines `top` to `bottom` (the last one) move up by `by`; down when it is negative."""

    top: int
    bottom: int
    by: int

    @property
    def lines(self) -> range:
        """The lines that it concerns."""
        return range(self.top, self.bottom + 1)

    @property
    def sequence(self) -> str:
        """What tells the terminal; nothing may be painted (SGR) while it is written."""
        verb = "M" if self.by > 0 else "L"
        return f"\x1b[{self.top + 1};{self.bottom + 1}r\x1b[{self.top + 1}H\x1b[{abs(self.by)}{verb}\x1b[r"

    def applied(self, there: Sequence[Line]) -> list[Line]:
        """What is there when the terminal has done it; what is in the new lines nobody knows."""
        new: list[Line] = [[UNKNOWN] * len(there[0]) for _ in range(abs(self.by))]
        moved = list(there[self.top : self.bottom + 1])
        moved = [*moved[self.by :], *new] if self.by > 0 else [*new, *moved[: self.by]]
        return [*there[: self.top], *moved, *there[self.bottom + 1 :]]


def find_scroll(wanted: Mapping[int, Line], there: Sequence[Line], columns: slice) -> Scroll | None:
    """The scroll by which most lines are what is wanted; they are told apart by the text in these columns."""
    before = _places({y: _text(there[y][columns]) for y in wanted})
    after = _places({y: _text(line[columns]) for y, line in wanted.items()})
    moves = {after[text]: before[text] - after[text] for text in after.keys() & before.keys()}
    by, count = next(iter(Counter(move for move in moves.values() if move).most_common(1)), (0, 0))
    moved = [y for y, move in moves.items() if move == by]
    if count < _ENOUGH or count < (max(moved) - min(moved)) / 2:
        return None
    return Scroll(min(moved) + min(0, by), max(moved) + max(0, by), by)


def _text(cells: Line) -> str:
    return "".join([cell[0] for cell in cells])


def _places(texts: Mapping[int, str]) -> dict[str, int]:
    """Where each text stands, for those that stand in one place only."""
    often = Counter(texts.values())
    return {text: y for y, text in texts.items() if often[text] == 1}
