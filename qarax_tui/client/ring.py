"""The kept part of a console log: raw bytes in blocks, lines by number, bounded in bytes.

Bytes stay as they came (saving is byte-exact) and are cleaned only when a line is looked at or searched.
Lines have absolute numbers that stay the same while the ring moves: the first line ever shown is 0, history
in front of it counts down. Where bytes are missing or the guest booted there is a marker line.

When there is no more room the oldest blocks go; while older history is being put in front the newest go
instead, and `detached` says that the end of the ring is no longer the end of the log.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .blocks import BLOCK_BYTES, Block, Line, Marker
from .console_text import LONGEST_PIECE, clean, clean_block, count_pieces, pieces, searchable

if TYPE_CHECKING:
    from .matching import Matcher

CLEANED_BLOCKS = 8
KEPT_TIMES = 10_000


class ConsoleRing:
    """Blocks in order, the last of them still growing."""

    def __init__(self, limit: int = 32 * 2**20) -> None:
        self.limit = limit
        self.detached = False
        self.first = 0
        self.dropped = 0
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._tail = bytearray()
        self._tail_offset = 0
        self._counted: int | None = 0
        self._bytes = 0
        self._times: list[tuple[int, float]] = []
        self._cleaned: OrderedDict[int, list[str]] = OrderedDict()
        self._positions: dict[int, list[tuple[int, int]]] = {}

    # --- where it is -------------------------------------------------------------------------------------

    @property
    def start_offset(self) -> int:
        """Offset in the log of the oldest byte kept."""
        return self._blocks[0].offset if self._blocks else self._tail_offset

    @property
    def end_offset(self) -> int:
        """Offset in the log after the newest byte kept."""
        return self._tail_offset + len(self._tail)

    @property
    def end(self) -> int:
        """Number after the last line."""
        return self._tail_first + self._tail_count

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._bytes + len(self._tail)

    @property
    def _tail_first(self) -> int:
        return self._starts[-1] + self._blocks[-1].count if self._blocks else self.first

    # --- growing -----------------------------------------------------------------------------------------

    def jump(self, offset: int) -> None:
        """The next bytes are at this offset."""
        self._seal(whole=True)
        self._tail_offset = offset

    def append(self, data: bytes) -> None:
        """Bytes at the end."""
        for at in range(0, len(data), BLOCK_BYTES):
            self._tail += data[at : at + BLOCK_BYTES]
            if len(self._tail) >= BLOCK_BYTES:
                self._seal(whole=False)
        self._counted = None
        self._drop_oldest()

    def add_marker(self, marker: Marker) -> None:
        """A line of our own at the present end."""
        self._seal(whole=True)
        self._push(Block(marker.offset, b"", 1, marker))
        self._drop_oldest()

    def note_time(self, offset: int, time: float) -> None:
        """The byte at this offset was written at this time."""
        place = bisect_right(self._times, (offset, time))
        if place == 0 or self._times[place - 1] != (offset, time):
            self._times.insert(place, (offset, time))
        if len(self._times) > KEPT_TIMES:
            del self._times[: KEPT_TIMES // 10]

    def prepend(self, parts: Sequence[Block | Marker]) -> None:
        """History that ends exactly where the ring begins; its first block begins a line."""
        blocks = [Block(part.offset, b"", 1, part) if isinstance(part, Marker) else part for part in parts]
        self.first -= sum(block.count for block in blocks)
        self._blocks[:0] = blocks
        self._bytes += sum(block.cost for block in blocks)
        self._number()
        self._drop_newest()

    def clear(self, offset: int) -> None:
        """Nothing is kept; the next bytes are at this offset and get new line numbers."""
        self.first = self.end
        self._blocks.clear()
        self._starts.clear()
        self._cleaned.clear()
        self._tail.clear()
        self._counted = self._bytes = 0
        self._tail_offset = offset
        self.detached = False

    # --- looking -----------------------------------------------------------------------------------------

    def lines(self, first: int, count: int) -> list[Line]:
        """The lines from this number on that are kept."""
        found: list[Line] = []
        number = max(first, self.first)
        last = min(first + count, self.end)
        while number < last:
            start, texts, kind = self.block_at(number)
            for text in texts[number - start : last - start]:
                found.append(Line(number, text, kind, unended=number == self.end - 1 and self._unended))
                number += 1
        return found

    def time_of(self, number: int) -> float | None:
        """When the line was written, as far as the index tells."""
        offset = self.offset_of(number)
        place = bisect_right(self._times, (offset, float("inf")))
        return self._times[place - 1][1] if place else None

    def offset_of(self, number: int) -> int:
        """Offset in the log of the line's first byte."""
        if number >= self._tail_first:
            return self._tail_offset + pieces(bytes(self._tail))[number - self._tail_first][0]
        index = bisect_right(self._starts, number) - 1
        block, start = self._blocks[index], self._starts[index]
        if block.marker:
            return block.offset
        if start not in self._positions:
            self._positions = {start: pieces(block.data)}
        return block.offset + self._positions[start][number - start][0]

    def block_at(self, number: int) -> tuple[int, list[str], str]:
        """The lines around a kept line: number of the first, their texts, "" or the marker's kind."""
        if number >= self._tail_first:
            return self._tail_first, self._tail_lines(), ""
        index = bisect_right(self._starts, number) - 1
        block, start = self._blocks[index], self._starts[index]
        if block.marker is not None:
            return start, [block.marker.text], block.marker.kind
        return start, self._cleaned_block(start, block), ""

    def matching(self, number: int, matcher: Matcher) -> tuple[int, int, list[int]]:
        """Number of the first line around a kept line, how many there are, and which of them match."""
        if self.first <= number < self._tail_first:
            index = bisect_right(self._starts, number) - 1
            block, start = self._blocks[index], self._starts[index]
            if block.marker is None and matcher.rules_out(block.data):
                return start, block.count, []
            text = searchable(block.data, block.count) if block.marker is None else None
            if text is not None:
                return start, block.count, [start + place for place in matcher.matching(text)]
        start, lines, _ = self.block_at(number)
        return start, len(lines), [start + place for place in matcher.matching("\n".join(lines))]

    def raw(self) -> Iterator[bytes]:
        """The kept bytes, exactly."""
        yield from (block.data for block in self._blocks if block.data)
        yield bytes(self._tail)

    # --- how ---------------------------------------------------------------------------------------------

    @property
    def _tail_count(self) -> int:
        """Counted when asked for: bytes come more often than anybody looks."""
        if self._counted is None:
            self._counted = count_pieces(bytes(self._tail))
        return self._counted

    @property
    def _unended(self) -> bool:
        return bool(self._tail) and not self._tail.endswith(b"\n")

    def _cleaned_block(self, start: int, block: Block) -> list[str]:
        if start not in self._cleaned:
            self._cleaned[start] = clean_block(block.data)
            while len(self._cleaned) > CLEANED_BLOCKS:
                self._cleaned.popitem(last=False)
        self._cleaned.move_to_end(start)
        return self._cleaned[start]

    def _tail_lines(self) -> list[str]:
        data = bytes(self._tail)
        lines = clean_block(data)
        if self._unended:
            start, end = pieces(data)[-1]
            lines[-1] = clean(data[start:end], unfinished=True)
        return lines

    def _is_time(self, part: Block | Marker) -> bool:
        """Notes the time of a marker; True when that was all it was for."""
        if isinstance(part, Marker) and part.time is not None:
            self.note_time(part.offset, part.time)
        return isinstance(part, Marker) and part.kind == "time"

    @staticmethod
    def _as_block(part: Block | Marker) -> Block:
        return Block(part.offset, b"", 1, part) if isinstance(part, Marker) else part

    def _seal(self, *, whole: bool) -> None:
        """Turns the growing end into a block: all of it, or but for its last, unfinished piece."""
        data = bytes(self._tail)
        cut = len(data) if whole else data.rfind(b"\n") + 1
        if len(data) - cut > LONGEST_PIECE:
            cut = pieces(data)[-1][0]
        if cut:
            sealed = data[:cut]
            self._push(Block(self._tail_offset, sealed, count_pieces(sealed)))
            del self._tail[:cut]
            self._tail_offset += cut
        self._counted = None

    def _push(self, block: Block) -> None:
        self._starts.append(self._tail_first)
        self._blocks.append(block)
        self._bytes += block.cost

    def _drop_oldest(self) -> None:
        while self._bytes + len(self._tail) > self.limit and self._blocks:
            block = self._blocks.pop(0)
            self.first += block.count
            self.dropped += len(block.data)
            self._bytes -= block.cost
            self._cleaned.pop(self._starts.pop(0), None)

    def _drop_newest(self) -> None:
        while self._bytes + len(self._tail) > self.limit and self._blocks:
            self.detached = True
            if self._tail:
                self._tail.clear()
                self._counted = 0
                continue
            block = self._blocks.pop()
            self._tail_offset = block.offset
            self._bytes -= block.cost
            self._cleaned.pop(self._starts.pop(), None)

    def _number(self) -> None:
        self._starts.clear()
        self._positions.clear()
        number = self.first
        for block in self._blocks:
            self._starts.append(number)
            number += block.count
