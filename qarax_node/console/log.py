"""The console log of one VM as a source: offsets over its two files, marks from the index.

The keeper writes (`qarax_node/keeper/log.py`), this reads; the index says at which offset a file begins, by
inode, so a rename or rotation while someone reads repeats and loses nothing that is kept.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from qarax_node.console.pieces import Data, Gap, Mark, Piece, tail_of
from qarax_node.keeper import index

CHUNK_BYTES = 1 << 18
TAIL_BYTES = 1 << 16
MOST_TAIL_BYTES = 16 << 20
LAG_BYTES = 16 << 20
KEPT_LAG_BYTES = 1 << 16


@dataclass(frozen=True)
class Segment:
    """A file of the log that is there: where it begins, how long it is."""

    path: str
    inode: int
    base: int
    size: int

    @property
    def end(self) -> int:
        return self.base + self.size


class LogSource:
    """`<runtime-dir>/<vm-uuid>.console.log` with its older part and its index."""

    def __init__(self, runtime_dir: Path, vm_id: str) -> None:
        self.path = str(runtime_dir / f"{vm_id}.console.log")
        self.index = str(runtime_dir / f"{vm_id}.console.index")

    def segments(self) -> list[Segment]:
        """The files that are there and known to the index, oldest first."""
        lines = index.read(self.index)
        found = []
        for path in (self.path + ".1", self.path):
            try:
                seen = Path(path).lstat()
            except FileNotFoundError:
                continue
            base = index.base_of(lines, seen.st_ino)
            if base is not None:
                found.append(Segment(path, seen.st_ino, base, seen.st_size))
        return sorted(found, key=lambda segment: segment.base)

    def bounds(self) -> tuple[int, int]:
        segments = self.segments()
        if segments:
            return segments[0].base, segments[-1].end
        known = max((line["offset"] for line in index.read(self.index)), default=0)
        return known, known

    def tail(self, lines: int) -> int:
        oldest, end = self.bounds()
        if lines == 0:
            return end
        span = TAIL_BYTES
        while True:
            begin = max(oldest, end - span)
            data = self._between(begin, end)
            place = tail_of(data, lines)
            if place is not None:
                return end - len(data) + place
            if begin == oldest or span >= MOST_TAIL_BYTES:
                return begin
            span *= 4

    def _between(self, start: int, end: int) -> bytes:
        reader = LogReader(self, start, marks=False)
        try:
            data = b""
            while reader.position < end:
                pieces = reader.read(end - reader.position)
                if not pieces:
                    break
                data += b"".join(piece.data for piece in pieces if isinstance(piece, Data))
            return data
        finally:
            reader.close()

    def reader(self, position: int) -> LogReader:
        return LogReader(self, position)


class LogReader:
    """One reader's place: an open file that begins at `base`, and how far the index was read.

    It may be closed while a thread reads: that one finds nothing more and opens nothing more.
    """

    def __init__(self, source: LogSource, position: int, *, marks: bool = True) -> None:
        self.position = position
        self._source = source
        self._fd = -1
        self._closed = False
        self._holding = threading.Lock()
        self._inode = 0
        self._base = 0
        self._marks = marks
        self._index_seen: tuple[int, int] = (0, 0)
        self._last_mark = (position, -1.0)
        self._waiting: list[index.Line] = []

    def read(self, limit: int = CHUNK_BYTES) -> list[Piece]:
        """What follows, up to a chunk; empty when there is nothing yet."""
        data = self._bytes(min(limit, CHUNK_BYTES))
        pieces: list[Piece] = []
        if not data:
            gap = self._move_on()
            if gap is not None:
                pieces.append(gap)
            data = self._bytes(min(limit, CHUNK_BYTES))
        start, self.position = self.position, self.position + len(data)
        return pieces + self._with_marks(start, data)

    def skip_lag(self) -> Gap | None:
        """Leave out what a live reader is too far behind to read; None when it keeps up."""
        end = self._end_if_current()
        end = self._source.bounds()[1] if end is None else end
        behind = end - self.position
        if behind <= LAG_BYTES:
            return None
        gap = Gap(self.position, behind - KEPT_LAG_BYTES, "this reader is too slow")
        self.position = end - KEPT_LAG_BYTES
        self._forget_file()
        return gap

    def _end_if_current(self) -> int | None:
        """Where the open file ends, when it still is the log; cheap, the index is not read."""
        try:
            seen = Path(self._source.path).lstat()
        except FileNotFoundError:
            return None
        if self._fd < 0 or seen.st_ino != self._inode:
            return None
        return self._base + seen.st_size

    def _bytes(self, limit: int) -> bytes:
        if self._fd < 0:
            return b""
        return os.pread(self._fd, limit, self.position - self._base)

    def _move_on(self) -> Gap | None:
        """At the end of the open file: the next one when there is one, a gap where none has the bytes."""
        end = self._end_if_current()
        if end is not None and end >= self.position:
            return None
        for segment in self._source.segments():
            if segment.inode == self._inode and segment.base == self._base and self._fd >= 0:
                if segment.end >= self.position and segment.path == self._source.path:
                    return None
                continue
            if segment.end > self.position or segment.path == self._source.path:
                return self._open(segment)
        return None

    def _open(self, segment: Segment) -> Gap | None:
        try:
            descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_ino != segment.inode:
            os.close(descriptor)
            return None
        if not self._hold(descriptor):
            return None
        self._inode, self._base = segment.inode, segment.base
        if self.position >= segment.base:
            return None
        gap = Gap(self.position, segment.base - self.position, "older output is not kept")
        self.position = segment.base
        return gap

    def _hold(self, descriptor: int) -> bool:
        """Keep this file open in place of the one before; False, and it is closed, once the reader is."""
        with self._holding:
            kept = not self._closed or descriptor < 0
            done, self._fd = (self._fd, descriptor) if kept else (descriptor, self._fd)
        if done >= 0:
            os.close(done)
        return kept

    def _forget_file(self) -> None:
        self._hold(-1)

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._forget_file()

    def _with_marks(self, start: int, data: bytes) -> list[Piece]:
        """The bytes from `start`, cut where a mark belongs between them."""
        if not self._marks:
            return [Data(start, data)] if data else []
        pieces: list[Piece] = []
        end = start + len(data)
        for line in self._due_marks(end):
            place = max(start, line["offset"])
            if place > start:
                pieces.append(Data(start, data[: place - start]))
                data, start = data[place - start :], place
            pieces.append(_piece(line))
        if data:
            pieces.append(Data(start, data))
        return pieces

    def _due_marks(self, end: int) -> list[index.Line]:
        """The index lines up to this offset that were not given yet."""
        try:
            seen = Path(self._source.index).stat()
        except FileNotFoundError:
            return []
        inode, size = self._index_seen
        if (seen.st_ino, seen.st_size) != self._index_seen:
            if seen.st_ino == inode and seen.st_size > size:
                self._waiting += index.read(self._source.index, size, seen.st_size)
            else:
                lines = index.read(self._source.index, 0, seen.st_size)
                self._waiting = [line for line in lines if self._is_new(line)]
            self._index_seen = seen.st_ino, seen.st_size
        due = [line for line in self._waiting if line["offset"] <= end]
        if due:
            self._waiting = [line for line in self._waiting if line["offset"] > end]
            self._last_mark = due[-1]["offset"], due[-1]["time"]
        return due

    def _is_new(self, line: index.Line) -> bool:
        if line["kind"] == "file" and line["offset"] == 0:
            return False
        return (line["offset"], line["time"]) > self._last_mark


def _piece(line: index.Line) -> Piece:
    offset, text = line["offset"], str(line.get("text", ""))
    if line["kind"] == "gap":
        return Gap(offset, int(line.get("bytes", 0)), text)
    kind = "rotation" if line["kind"] == "file" else str(line["kind"])
    return Mark(offset, int(line["time"] * 1000), kind, text)
