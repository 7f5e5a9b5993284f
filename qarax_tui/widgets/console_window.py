"""Which lines of a console are on the screen: position, follow, wrap and filter, without a terminal.

The position is the number of the top line, and with wrap the rows of it that are above the window; both stay
true while the ring moves under them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rich.cells import cell_len, chop_cells

from qarax_tui.client.blocks import Line

if TYPE_CHECKING:
    from qarax_tui.client.console_search import ConsoleFilter
    from qarax_tui.client.ring import ConsoleRing


class Row(NamedTuple):
    """One row of the screen: a line, the part of its text on this row, and which part that is."""

    line: Line
    text: str
    part: int
    at: int
    """Characters of the line in front of this part."""

    @property
    def shown(self) -> str:
        """The text as it is painted."""
        return f"── {self.text} ──" if self.line.kind else self.text


Place: TypeAlias = tuple[int, int]
"""A line's number and a character of it."""


class Stretch(NamedTuple):
    """What is selected: from a place to behind another."""

    first: Place
    last: Place

    def within(self, number: int, length: int) -> tuple[int, int]:
        """The characters of a line of this length that belong to it; (0, 0) for none."""
        if not self.first[0] <= number <= self.last[0]:
            return 0, 0
        start = self.first[1] if number == self.first[0] else 0
        return start, min(length, self.last[1]) if number == self.last[0] else length


class ConsoleWindow:
    """A window of `height` rows of `width` cells onto a ring."""

    def __init__(self, ring: ConsoleRing) -> None:
        self.ring = ring
        self.width = self.height = 1
        self.wrap = False
        self.follow = True
        self.filter: ConsoleFilter | None = None
        self.top = ring.first
        self.skip = 0
        self._last = self.top

    # --- rows and lines ----------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Lines that can be scrolled through."""
        return len(self.filter.numbers) if self.filter else self.ring.end - self.ring.first

    @property
    def index(self) -> int:
        """Place of the top line among them."""
        return self._index(self.top)

    @property
    def behind(self) -> int:
        """Lines below what `rows` gave last."""
        return max(0, self.count - 1 - self._index(self._last))

    def rows(self) -> list[Row]:
        """What the window shows, from the top."""
        found: list[Row] = []
        index, skip = self._index(self.top), self.skip
        while len(found) < self.height and index < self.count:
            wanted = 1 if self.filter else self.height - len(found)
            for line in self.ring.lines(self._number(index), wanted):
                parts = self._parts(line.text)
                begins = accumulate(map(len, parts), initial=0)
                found += [Row(line, *part) for part in zip(parts, count(), begins, strict=False)][skip:]
                skip = 0
            index += wanted
        found = found[: self.height]
        self._last = found[-1].line.number if found else self.top
        return found

    # --- moving ------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """After anything changed: at the end when following, else where it was as far as that is kept."""
        if self.follow:
            self.top, self.skip = self._end_position()
        else:
            kept = self._number(self._index(self.top))
            wanted = (kept, self.skip if kept == self.top else 0)
            self.top, self.skip = min(wanted, self._end_position())

    def scroll(self, rows: int) -> None:
        """By so many rows; going up ends following, coming to the end begins it."""
        index, skip = self._index(self.top), self.skip
        step = 1 if rows > 0 else -1
        if not self.wrap:
            index, skip = max(0, index + rows), 0
        else:
            for _ in range(abs(rows)):
                index, skip = self._step(index, skip, step)
        self._go(index, skip)

    def scroll_to_index(self, index: int) -> None:
        """Puts the line at this place on top."""
        self._go(max(0, index), 0)

    def show(self, number: int) -> None:
        """Brings a line into the window, a third down when it was not in it."""
        if any(row.line.number == number for row in self.rows()):
            self.follow = False
            return
        self._go(max(0, self._index(number) - self.height // 3), 0)
        self.follow = False

    def to_end(self) -> None:
        """To the newest line, following."""
        self.follow = True
        self.settle()

    # --- how ---------------------------------------------------------------------------------------------

    def _go(self, index: int, skip: int) -> None:
        end = self._end_position()
        wanted = (self._number(index), skip) if index < self.count else end
        self.follow = wanted >= end
        self.top, self.skip = min(wanted, end)

    def _step(self, index: int, skip: int, step: int) -> tuple[int, int]:
        if step > 0:
            return (index, skip + 1) if skip + 1 < self._height_at(index) else (index + 1, 0)
        if skip > 0:
            return index, skip - 1
        return (index - 1, self._height_at(index - 1) - 1) if index > 0 else (0, 0)

    def _end_position(self) -> tuple[int, int]:
        index, room = self.count, self.height
        if not self.wrap:
            return self._number(max(0, index - room)), 0
        while index > 0:
            index -= 1
            tall = self._height_at(index)
            if tall >= room:
                return self._number(index), tall - room
            room -= tall
        return self._number(0), 0

    def _height_at(self, index: int) -> int:
        lines = self.ring.lines(self._number(index), 1)
        return len(self._parts(lines[0].text)) if lines else 1

    def _parts(self, text: str) -> list[str]:
        if not self.wrap or len(text) * 2 <= self.width:
            return [text]
        if text.isascii():
            return [text[at : at + self.width] for at in range(0, len(text), self.width)] or [text]
        return (chop_cells(text, self.width) or [text]) if cell_len(text) > self.width else [text]

    def _index(self, number: int) -> int:
        if self.filter is None:
            return max(0, number - self.ring.first)
        return bisect_left(self.filter.numbers, number)

    def _number(self, index: int) -> int:
        if self.filter is None:
            return self.ring.first + index
        numbers = self.filter.numbers
        return numbers[index] if index < len(numbers) else self.ring.end

    def shows(self, number: int) -> bool:
        """Whether the filter lets this line through."""
        if self.filter is None:
            return True
        numbers = self.filter.numbers
        return bisect_right(numbers, number) > bisect_left(numbers, number)
