"""What happened to one object, also before the dashboard looked: the cache keeps the newest of the fleet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import reading

if TYPE_CHECKING:
    from .api import Api
    from .fleet import Fleet
    from .records import Event, Operation

OPERATIONS = 6
EVENTS = 8
_FIRST_REACH = 1_000
_FURTHER = 16
_PAGE = 500


@dataclass(slots=True)
class Past:
    """By id and by sequence number."""

    operations: dict[str, Operation] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)

    def last_operations(self, fleet: Fleet, subject_id: str) -> list[Operation]:
        """The newest first, those in the cache in place of older copies."""
        kept = {one.id: one for one in fleet.operations.values() if one.subject_id == subject_id}
        found = {**self.operations, **kept}.values()
        return sorted(found, key=lambda one: one.started_at or 0.0, reverse=True)[:OPERATIONS]

    def last_events(self, fleet: Fleet, subject_id: str) -> list[Event]:
        """The newest first."""
        kept = {one.sequence: one for one in fleet.events_of(subject_id)}
        return sorted({**self.events, **kept}.values(), key=lambda one: one.sequence, reverse=True)[:EVENTS]


async def read_past(api: Api, subject_id: str, newest: int) -> Past:
    """The last operations and events of an object; `newest` is the sequence number the fleet has come to."""
    query = {"subject_id": subject_id, "limit": str(OPERATIONS)}
    rows, _ = await api.get_page("/operations", query)
    operations = [reading.operation(row) for row in rows]
    events = await _last_events(api, subject_id, newest)
    return Past({one.id: one for one in operations}, {one.sequence: one for one in events})


async def _last_events(api: Api, subject_id: str, newest: int) -> list[Event]:
    """They can be read upwards only: looks back a little, then further until there are enough."""
    reach = _FIRST_REACH
    while True:
        after = max(0, newest - reach)
        found = await _events_after(api, subject_id, after)
        if len(found) >= EVENTS or after == 0:
            return found
        reach *= _FURTHER


async def _events_after(api: Api, subject_id: str, after: int) -> list[Event]:
    """The last of them."""
    found: list[Event] = []
    while True:
        page = await api.events(after=after, limit=_PAGE, subject_id=subject_id)
        found = [*found, *page][-EVENTS:]
        if len(page) < _PAGE:
            return found
        after = page[-1].sequence
