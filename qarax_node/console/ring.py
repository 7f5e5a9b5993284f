"""A console in memory, for simulated VMs: the newest bytes, read like a log."""

from __future__ import annotations

from qarax_node.console.pieces import Data, Gap, Piece, tail_of

RING_BYTES = 1 << 16


class Ring:
    """The last 64 KiB that a simulated guest printed."""

    __slots__ = ("_data", "base")

    def __init__(self) -> None:
        self.base = 0
        self._data = b""

    @property
    def end(self) -> int:
        return self.base + len(self._data)

    def append(self, data: bytes) -> None:
        """Add bytes; the oldest make room."""
        joined = self._data + data
        self.base += max(0, len(joined) - RING_BYTES)
        self._data = joined[-RING_BYTES:]

    def slice(self, start: int) -> bytes:
        """What is kept from this offset on."""
        return self._data[max(0, start - self.base) :]

    def bounds(self) -> tuple[int, int]:
        return self.base, self.end

    def tail(self, lines: int) -> int:
        place = tail_of(self._data, lines) if lines else len(self._data)
        return self.base + (place or 0)

    def reader(self, position: int) -> RingReader:
        return RingReader(self, position)


class RingReader:
    """One reader's place in a ring."""

    def __init__(self, ring: Ring, position: int) -> None:
        self.position = min(position, ring.end)
        self._ring = ring

    def read(self) -> list[Piece]:
        pieces: list[Piece] = []
        if self.position < self._ring.base:
            missed = self._ring.base - self.position
            pieces.append(Gap(self.position, missed, "older output is not kept"))
            self.position = self._ring.base
        data = self._ring.slice(self.position)
        if data:
            pieces.append(Data(self.position, data))
            self.position += len(data)
        return pieces

    def close(self) -> None:
        """Nothing to let go of."""
