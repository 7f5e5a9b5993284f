"""What a console reader gets, in order: bytes, gaps where bytes are missing, marks beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Data:
    """Raw bytes; `offset` counts from the VM's creation."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class Gap:
    """Bytes that are not there; 0 when nobody counted them."""

    offset: int
    bytes: int
    reason: str


@dataclass(frozen=True)
class Mark:
    """A boot, a time, an exit: what happened at this offset."""

    offset: int
    time_ms: int
    kind: str
    text: str


Piece = Data | Gap | Mark


class Reader(Protocol):
    """One reader's place in one console."""

    position: int

    def read(self) -> list[Piece]:
        """What follows the position, which moves on; empty when there is nothing yet."""

    def close(self) -> None: ...


class Source(Protocol):
    """A console that can be read by any number of readers."""

    def bounds(self) -> tuple[int, int]:
        """The offsets of the oldest byte kept and of the next one to come."""

    def tail(self, lines: int) -> int:
        """The offset at which the last so many lines begin."""

    def reader(self, position: int) -> Reader:
        """A reader from this offset on."""


def tail_of(data: bytes, lines: int) -> int | None:
    """Where the last so many lines of `data` begin; None when it holds fewer."""
    end = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        end = data.rfind(b"\n", 0, end)
        if end < 0:
            return None
    return end + 1
