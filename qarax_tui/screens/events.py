"""Events: the flight recorder, newest first, filterable. The client keeps the last 2,000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qarax_tui.client.records import NOUNS, Event, Noun
from qarax_tui.messages import Reveal
from qarax_tui.screens.format import moment
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes


class EventsView(TableView[Event]):
    """The cursor stays on its event while newer ones come in above; `f` goes to the newest."""

    view_id = "events"
    noun = "operation"
    enter = "jump"
    singular = "event"
    first_sort = ("when", True)
    empty = "No event yet. Every change of anything will be recorded here, with who did it."

    def __init__(self) -> None:
        self.known: dict[str, Event] = {}
        super().__init__()

    def prepare(self) -> None:
        self._collect()

    def refusal(self) -> str:
        return self.fleet.refused.get("event", "")

    def trail(self) -> tuple[str, ...]:
        return ("Events",)

    def rows(self) -> Mapping[str, Event]:
        return self.known

    def take(self, changes: Changes) -> None:
        if changes.events:
            added, removed = self._collect()
            if (added or removed) and self.order.apply(added, removed):
                self.table.set_rows(self.order.ids, self.known.get)
                self.announce()

    def catch_up(self) -> None:
        self._collect()
        super().catch_up()

    def _collect(self) -> tuple[set[str], set[str]]:
        """Takes over what the fleet keeps; returns what came and what went."""
        now = {str(event.sequence): event for event in self.fleet.events}
        added, removed = now.keys() - self.known.keys(), self.known.keys() - now.keys()
        for sequence in removed:
            del self.known[sequence]
        self.known.update((sequence, now[sequence]) for sequence in added)
        return added, removed

    def columns(self) -> Sequence[Column]:
        return (
            Column("when", "When", lambda row: moment(row.occurred_at, self.session.now()), width=11),
            Column("action", "Action", lambda row: row.action, width=9),
            Column("type", "Type", lambda row: row.subject_type.replace("_", " "), width=14, priority=2),
            Column("subject", "Subject", _subject, width=14, grow=1),
            Column("actor", "Actor", lambda row: row.actor or "–", width=10, priority=3),
            Column("message", "What happened", _message, width=40, grow=6),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "when": lambda row: row.sequence,
            "action": lambda row: (row.action, row.sequence),
            "type": lambda row: (row.subject_type, row.sequence),
            "subject": lambda row: (_subject(row).lower(), row.sequence),
            "actor": lambda row: (row.actor, row.sequence),
        }

    def filter_words(self) -> Sequence[str]:
        return ("type", "action", "subject", "actor")

    def words(self, row: Event) -> Mapping[str, str]:
        return {
            "action": row.action,
            "type": row.subject_type,
            "subject": _subject(row),
            "actor": row.actor,
            "change": "; ".join(row.changes),
            "message": row.message,
            "request": row.request_id,
            "id": row.subject_id,
        }

    def subject(self) -> tuple[Noun, Any] | None:
        """What the event is about, while it is there."""
        row = self.current()
        for noun in NOUNS:
            if row is not None and row.subject_type == noun:
                record = self.fleet.records(noun).get(row.subject_id)
                return None if record is None else (noun, record)
        return None

    def do_jump(self) -> None:
        row = self.current()
        if row is None:
            return
        subject_type, subject_id = row.subject_type, row.subject_id
        operation = self.fleet.operations.get(subject_id) if subject_type == "operation" else None
        if operation is not None:
            subject_type, subject_id = operation.subject_type, operation.subject_id
        self.post_message(Reveal(subject_type, subject_id))

    def do_follow_events(self) -> None:
        self.sort_column, self.descending = "when", True
        self.rearrange()
        if self.order.ids:
            self.table.move_to(self.order.ids[0])


def _subject(row: Event) -> str:
    return row.subject_name or row.subject_id[:8]


def _message(row: Event) -> Cell:
    words = "  ".join(part for part in (row.message, *row.changes) if part)
    return Cell(words or "–", "" if words else "dim")
