"""Which rows a table shows, in which order, kept current without sorting ten thousand rows per change.

    order = Ordering(fleet.vms, key=lambda vm: vm.name)
    order.arrange(key=..., keep=..., reverse=...)   # another sort or filter: everything anew
    if order.apply(changed, removed): table.set_rows(order.ids, fleet.vms.get)
    else: table.update_rows(changed)

Rows with equal keys are in the order of their ids, so nothing ever trades places by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

RecordT = TypeVar("RecordT")
Key = Callable[[RecordT], Any]
Keep = Callable[[RecordT], bool]
Place = tuple[Any, str]
MANY = 500
"""From so many moves on sorting everything is cheaper than moving each."""


class Ordering(Generic[RecordT]):
    """A sorted, filtered view of a mapping by id. Keys must be comparable with each other."""

    def __init__(
        self,
        rows: Mapping[str, RecordT],
        key: Key[RecordT],
        keep: Keep[RecordT] | None = None,
        *,
        reverse: bool = False,
    ) -> None:
        self._rows = rows
        self._key, self._keep, self._reverse = key, keep, reverse
        self._places: list[Place] = []
        self._place_of: dict[str, Place] = {}
        self._ids: list[str] = []
        self._shown: list[str] | None = None
        self.rebuild()

    @property
    def ids(self) -> Sequence[str]:
        """The ids to show, in order; a list that later changes leave alone."""
        if self._shown is None:
            self._shown = self._ids[::-1] if self._reverse else self._ids[:]
        return self._shown

    def arrange(self, *, key: Key[RecordT], keep: Keep[RecordT] | None = None, reverse: bool = False) -> None:
        """Another sort or filter."""
        self._key, self._keep, self._reverse = key, keep, reverse
        self.rebuild()

    def rebuild(self) -> None:
        """Sorts and filters everything anew, as after a reset."""
        keep, key = self._keep, self._key
        self._places.clear()  # the old keys make room for the new ones
        self._place_of.clear()
        self._place_of = {
            identifier: (key(row), identifier)
            for identifier, row in self._rows.items()
            if keep is None or keep(row)
        }
        self._places = sorted(self._place_of.values())
        self._ids = [identifier for _, identifier in self._places]
        self._shown = None

    def apply(self, changed: Iterable[str], removed: Iterable[str] = ()) -> bool:
        """Takes over changes; True when an id moved, came or went, False when only contents differ."""
        moves = [
            (identifier, old, new)
            for identifier in {*changed, *removed}
            if (old := self._place_of.get(identifier)) != (new := self._wanted_place(identifier))
        ]
        if len(moves) > MANY:
            self.rebuild()
        else:
            for identifier, old, new in moves:
                self._move(identifier, old, new)
        return bool(moves)

    def _wanted_place(self, identifier: str) -> Place | None:
        row = self._rows.get(identifier)
        if row is None or (self._keep is not None and not self._keep(row)):
            return None
        return (self._key(row), identifier)

    def _move(self, identifier: str, old: Place | None, new: Place | None) -> None:
        self._shown = None
        if old is not None:
            at = bisect_left(self._places, old)
            del self._places[at], self._ids[at]
            del self._place_of[identifier]
        if new is not None:
            at = bisect_left(self._places, new)
            self._places.insert(at, new)
            self._ids.insert(at, identifier)
            self._place_of[identifier] = new
