"""What is kept of one console's log, and where in the log it belongs. No network.

Live bytes and markers come at the end of the log, history in front of what is kept or behind it. While the
ring is `detached`, history has pushed the live end out, and live bytes only move `end` on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .blocks import Block, Marker
from .console_history import Part, from_line_start, gap_text
from .ring import ConsoleRing

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_LINES = 1_000
_SEEN_MARKS = 1_000
"""Far more than a reconnect repeats."""


class ConsoleLog:
    """A ring that knows the log's `end`, whether it `began`, and whether the oldest byte is in it."""

    def __init__(self, ring_bytes: int) -> None:
        self.ring = ConsoleRing(ring_bytes)
        self.end = 0
        self.began = False
        self.at_oldest = False
        self._seen_marks: dict[tuple[int, str, float | None], None] = {}

    @property
    def has_older(self) -> bool:
        """Whether the log may hold bytes in front of the ring."""
        return self.began and not self.at_oldest

    @property
    def wanted(self) -> str:
        """What to follow from, as the console's address says it."""
        if not self.began:
            return f"tail={FIRST_LINES}"
        return f"from={self.end if self.ring.detached else self.ring.end_offset}"

    # --- live --------------------------------------------------------------------------------------------

    def take_bytes(self, data: bytes) -> None:
        """The next bytes of the log."""
        if not self.began:
            self.take_offset(self.end)
        self.end += len(data)
        if not self.ring.detached:
            self.ring.append(data)

    def take_marker(self, marker: Marker) -> None:
        """A boot, gap or time at the end of the log."""
        if not self.began:
            self.take_offset(marker.offset)
        if not self.ring.detached:
            self._add(marker)

    def take_offset(self, offset: int) -> None:
        """Where the following bytes belong; what lies between is a gap that somebody should have told."""
        self.end = offset
        if not self.began:
            self.ring.clear(offset)
            self.began, self.at_oldest = True, offset == 0
        elif not self.ring.detached and offset != self.ring.end_offset:
            missing = offset - self.ring.end_offset
            if not self._gap_was_told():
                self._add(Marker(offset, "gap", gap_text(missing, "no longer kept")))
            self.ring.jump(offset)

    def _gap_was_told(self) -> bool:
        last = self.ring.lines(self.ring.end - 1, 1)
        return bool(last) and last[0].kind == "gap"

    # --- history -----------------------------------------------------------------------------------------

    def put_in_front(self, parts: list[Part]) -> None:
        """History that ends where the ring begins."""
        self.ring.prepend(parts if self.at_oldest else from_line_start(parts))

    def put_behind(self, parts: Sequence[Part]) -> None:
        """History that begins where the detached ring ends."""
        for part in parts:
            self._add(part)
        if self.ring.start_offset > 0:
            self.at_oldest = False
        if self.ring.end_offset >= self.end:
            self.ring.detached = False

    def begin_at_oldest(self, offset: int, parts: Sequence[Part]) -> None:
        """Only these, the oldest there are, far from the live end."""
        self._forget(offset)
        for part in parts:
            self._add(part)
        self.ring.detached = self.at_oldest = True

    def begin_again(self) -> None:
        """Nothing is kept, and the last lines are wanted."""
        self._forget(self.end)
        self.began = self.at_oldest = False

    def _forget(self, offset: int) -> None:
        self.ring.clear(offset)
        self._seen_marks.clear()

    def _add(self, part: Part) -> None:
        """Behind what is kept; a marker that came before is the same one."""
        if isinstance(part, Block):
            self.ring.append(part.data)
            return
        if part.time is not None:
            self.ring.note_time(part.offset, part.time)
        key = (part.offset, part.kind, part.time)
        if part.kind != "time" and key not in self._seen_marks:
            self._seen_marks[key] = None
            while len(self._seen_marks) > _SEEN_MARKS:
                del self._seen_marks[next(iter(self._seen_marks))]
            self.ring.add_marker(part)
