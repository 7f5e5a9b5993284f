"""Looking for lines in a console's ring: the next match, and the filter, in slices that let the screen live.

Both walk the ring block by block by line number, so the ring may move under them between two slices.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .matching import Matcher
    from .ring import ConsoleRing

SLICE_SECONDS = 0.01


class _Slices:
    """Gives the loop a turn whenever a slice is over."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SLICE_SECONDS

    async def turn(self) -> None:
        if time.monotonic() > self._until:
            await asyncio.sleep(0)  # lets keys and frames through
            self._until = time.monotonic() + SLICE_SECONDS


async def find_next(
    ring: ConsoleRing, matcher: Matcher, number: int, *, backwards: bool = False
) -> int | None:
    """Number of the nearest matching line after (before) this one, or None."""
    slices = _Slices()
    at = number - 1 if backwards else max(number + 1, ring.first)
    at = min(at, ring.end - 1) if backwards else at
    while ring.first <= at < ring.end:
        start, count, found = ring.matching(at, matcher)
        wanted = [match for match in found if (match <= at if backwards else match >= at)]
        if wanted:
            return wanted[-1] if backwards else wanted[0]
        at = start - 1 if backwards else start + count
        await slices.turn()
    return None


class ConsoleFilter:
    """The numbers of the lines that match, with so many lines around each, kept current."""

    def __init__(self, ring: ConsoleRing, matcher: Matcher, context: int = 0) -> None:
        self.matcher = matcher
        self.numbers: list[int] = []
        self._ring = ring
        self._context = context
        self._from = self._until = ring.end

    async def scan(self) -> None:
        """Looks at everything that is kept."""
        slices = _Slices()
        while self._from > self._ring.first:
            start, _, found = self._ring.matching(self._from - 1, self.matcher)
            self._take(found)
            self._from = start
            await slices.turn()

    def update(self) -> None:
        """Looks at lines that came or grew since, and forgets those that went."""
        self._until = max(self._until, self._ring.first)
        while self._until < self._ring.end:
            start, count, found = self._ring.matching(self._until, self.matcher)
            self._take([number for number in found if number >= self._until])
            self._until = start + count
        last = self._ring.lines(self._ring.end - 1, 1)
        if last and last[0].unended:
            self._until = last[0].number
        del self.numbers[: bisect_left(self.numbers, self._ring.first)]

    def _take(self, matches: list[int]) -> None:
        around = range(-self._context, self._context + 1)
        found = sorted({match + by for match in matches for by in around})
        if found:
            low, high = bisect_left(self.numbers, found[0]), bisect_right(self.numbers, found[-1])
            self.numbers[low:high] = sorted({*self.numbers[low:high], *found})
