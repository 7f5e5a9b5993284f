"""What is known of the fleet: records by id, the last events, and who wants to hear of changes.

`fleet` fills it. Operations, transfers, events and whole resources are kept in bounded numbers; VMs, hosts
and the rest are as many as there are.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from . import reading, records
from .changes import Pending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .records import Event, Json, Record

KEPT_EVENTS = 2_000
KEPT_ENDED = 2_000
KEPT_DETAILS = 64


class Cache:
    """Records of every noun by id."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._unread: deque[Json] = deque(maxlen=KEPT_EVENTS)
        self.vms: dict[str, records.Vm] = {}
        self.hosts: dict[str, records.Host] = {}
        self.storage_pools: dict[str, records.StoragePool] = {}
        self.storage_objects: dict[str, records.StorageObject] = {}
        self.transfers: dict[str, records.Transfer] = {}
        self.boot_sources: dict[str, records.BootSource] = {}
        self.operations: dict[str, records.Operation] = {}
        self.orphans: dict[str, records.Orphan] = {}
        self._records: Mapping[str, dict[str, Any]] = {
            "vm": self.vms,
            "host": self.hosts,
            "storage_pool": self.storage_pools,
            "storage_object": self.storage_objects,
            "transfer": self.transfers,
            "boot_source": self.boot_sources,
            "operation": self.operations,
            "orphan": self.orphans,
        }
        self._details: OrderedDict[tuple[str, str], Json] = OrderedDict()
        self._touched: set[str] | None = None
        self._watchers: set[Pending] = set()

    @property
    def events(self) -> deque[Event]:
        """The last events, the newest at the end; what came is made into records only when somebody looks."""
        while self._unread:
            self._events.append(reading.event(self._unread.popleft()))
        return self._events

    def events_of(self, subject_id: str) -> list[Event]:
        """Those about one object, without making records of the others."""
        found = [event for event in self._events if event.subject_id == subject_id]
        unread = [body for body in self._unread if body.get("subject_id") == subject_id]
        return [*found, *map(reading.event, unread)]

    def records(self, noun: str) -> Mapping[str, Any]:
        """The cache of a noun by id."""
        return self._records[noun]

    def get(self, noun: str, identifier: str) -> Record | None:
        """One record, or None when it is gone."""
        found: Record | None = self._records[noun].get(identifier)
        return found

    def raw(self, noun: str, identifier: str) -> Json | None:
        """The whole resource if `Fleet.details` gave it lately, kept current; else None."""
        return self._details.get((noun, identifier))

    # --- from events -------------------------------------------------------------------------------------

    def add_event(self, body: Json) -> None:
        """One row of the flight recorder, and what it did to its subject."""
        self._unread.append(body)
        for pending in self._watchers:
            pending.changes.events = True
        noun, identifier, after = body.get("subject_type"), body.get("subject_id"), body.get("after")
        if isinstance(noun, str) and noun in self._records and isinstance(identifier, str):
            if self._touched is not None:
                self._touched.add(identifier)
            self._settle(noun, identifier, after if isinstance(after, dict) else None)

    def add_older_events(self, older: list[Event], sequence: int) -> None:
        """The last events up to `sequence`, in front of what has come since."""
        fresh = [event for event in self.events if event.sequence > sequence]
        self._events.clear()
        self._events.extend([event for event in older if event.sequence <= sequence] + fresh)
        for pending in self._watchers:
            pending.changes.events = True

    def _settle(self, noun: str, identifier: str, after: Json | None) -> None:
        if after is None:
            self._drop(noun, identifier)
            return
        self._put(noun, identifier, after)
        if (noun, identifier) in self._details:
            self._details[noun, identifier] = after

    def _put(self, noun: str, identifier: str, body: Json) -> None:
        kept = self._records[noun]
        record = reading.record(noun, body)
        if identifier not in kept and noun in ("operation", "transfer"):
            self._make_room(noun)
        kept[record.id if record.id == identifier else identifier] = record
        for pending in self._watchers:
            pending.changes.note_changed(noun, identifier)

    def _drop(self, noun: str, identifier: str) -> None:
        self._details.pop((noun, identifier), None)
        if self._records[noun].pop(identifier, None) is not None:
            for pending in self._watchers:
                pending.changes.note_removed(noun, identifier)

    def _make_room(self, noun: str) -> None:
        """Operations and transfers never stop coming: the oldest go first."""
        kept = self._records[noun]
        while len(kept) >= KEPT_ENDED:
            self._drop(noun, next(iter(kept)))

    # --- from lists --------------------------------------------------------------------------------------

    def begin_listing(self) -> None:
        """From here on an id an event speaks of is newer than any list."""
        self._touched = set()

    def end_listing(self) -> None:
        """Every list was merged."""
        self._touched = None

    def merge(self, noun: str, page: list[Json]) -> set[str]:
        """A page of a list, but for ids an event has spoken of since; returns the page's ids."""
        present = set()
        for body in page:
            identifier = body.get("vm_id" if noun == "orphan" else "id")
            if isinstance(identifier, str):
                present.add(identifier)
                if identifier not in (self._touched or ()):
                    self._put(noun, identifier, body)
        self.wake()
        return present

    def drop_absent(self, noun: str, present: set[str]) -> None:
        """The list is complete: whatever was not in it, nor in an event since, is gone."""
        for identifier in [kept for kept in self._records[noun] if kept not in present]:
            if identifier not in (self._touched or ()):
                self._drop(noun, identifier)
        for pending in self._watchers:
            pending.changes.note_reset(noun)
        self.wake()

    def keep_details(self, noun: str, identifier: str, body: Json) -> None:
        """A whole resource that a screen looks at."""
        self._details[noun, identifier] = body
        self._details.move_to_end((noun, identifier))
        while len(self._details) > KEPT_DETAILS:
            self._details.popitem(last=False)

    def wake(self) -> None:
        """Something was noted for the watchers."""
        for pending in self._watchers:
            pending.wake()
