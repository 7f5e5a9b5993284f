"""What a console's ring is made of: blocks of the guest's bytes, and markers of our own between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .console_text import count_pieces

BLOCK_BYTES = 16 * 1024
MARKER_BYTES = 256


@dataclass(frozen=True, slots=True)
class Marker:
    """A line of our own between the guest's. `kind`: gap boot reboot exit rotation lost …; `time` Unix s."""

    offset: int
    kind: str
    text: str
    time: float | None = None


class Line(NamedTuple):
    """A line to show. `kind` is "" for the guest's own, else the marker's; `unended` while it goes on."""

    number: int
    text: str
    kind: str = ""
    unended: bool = False


@dataclass(slots=True)
class Block:
    """Whole pieces of bytes from `offset` on, or one marker; `count` lines."""

    offset: int
    data: bytes
    count: int
    marker: Marker | None = None

    @property
    def cost(self) -> int:
        """Bytes it takes from the ring's limit."""
        return len(self.data) + MARKER_BYTES


def as_blocks(offset: int, data: bytes) -> list[Block]:
    """History as blocks of whole pieces, for `ConsoleRing.prepend`."""
    blocks = []
    at = 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + BLOCK_BYTES) + 1
        if end <= at or len(data) - at <= BLOCK_BYTES:
            end = min(len(data), at + BLOCK_BYTES)
        blocks.append(Block(offset + at, data[at:end], count_pieces(data[at:end])))
        at = end
    return blocks
