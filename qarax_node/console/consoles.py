"""Console readers: from an offset to the present end, then live, woken by the keeper and never by a clock.

A reader takes what it can: nothing is queued for it. One that has been live and falls 16 MiB behind gets a
gap and the newest bytes; files are read in threads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from qarax_node.console.log import LogReader
from qarax_node.console.pieces import Data

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qarax_node.console.pieces import Piece, Reader, Source


class Follower:
    """A reader that waits for more; `ended` when there will be no more."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.ended = False


class Consoles:
    """Wakes the followers of a VM's console."""

    def __init__(self) -> None:
        self._followers: dict[str, set[Follower]] = {}

    def grew(self, vm_id: str) -> None:
        """There may be more to read."""
        for follower in self._followers.get(vm_id, ()):
            follower.woken.set()

    def wake_all(self) -> None:
        """After the keeper came back: growth may have gone untold."""
        for vm_id in self._followers:
            self.grew(vm_id)

    def ended(self, vm_id: str) -> None:
        """The VM is gone, and its console: its readers end."""
        for follower in self._followers.get(vm_id, ()):
            follower.ended = True
            follower.woken.set()

    @property
    def followers(self) -> int:
        return sum(len(followers) for followers in self._followers.values())

    async def read(
        self, vm_id: str, source: Source, position: int, *, follow: bool, limit: int = 0
    ) -> AsyncIterator[Piece]:
        """Pieces from `position`; without `follow` up to the present end, or `limit` bytes when not 0."""
        end = source.bounds()[1] if not follow else None
        if limit and end is not None:
            end = min(end, position + limit)
        follower = Follower()
        followers = self._followers.setdefault(vm_id, set())
        followers.add(follower)
        reader = source.reader(position)
        try:
            async for piece in _pieces(reader, follower, end):
                yield piece
        finally:
            followers.discard(follower)
            if not followers:
                self._followers.pop(vm_id, None)
            reader.close()


async def _pieces(reader: Reader, follower: Follower, end: int | None) -> AsyncIterator[Piece]:
    live = False
    while not follower.ended:
        follower.woken.clear()
        if live and isinstance(reader, LogReader):
            gap = await asyncio.to_thread(reader.skip_lag)
            if gap is not None:
                yield gap
        pieces = await asyncio.to_thread(reader.read)
        for piece in pieces:
            cut = _before(piece, end)
            if cut is not None:
                yield cut
        if end is not None and (reader.position >= end or not pieces):
            return
        if not pieces:
            live = True
            await follower.woken.wait()


def _before(piece: Piece, end: int | None) -> Piece | None:
    """The part of a piece that lies before `end`."""
    if end is None or (piece.offset < end and not isinstance(piece, Data)):
        return piece
    if isinstance(piece, Data) and piece.offset < end:
        return Data(piece.offset, piece.data[: end - piece.offset])
    return None
