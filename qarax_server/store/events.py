"""The flight recorder, read; it is written by `database.Transaction`."""

from __future__ import annotations

from dataclasses import dataclass

from qarax_server import queries
from qarax_server.database import Connection
from qarax_server.store.forgetting import forget

EVENTS = queries.load("events")


@dataclass(frozen=True)
class Row:
    """An event as its JSON text, with what a stream needs to frame it."""

    sequence: int
    subject_type: str
    document: str
    subject_id: str = ""
    age_seconds: float = 0.0


async def list_events_after(
    c: Connection, after: int, limit: int, subject_id: str | None = None, subject_type: str | None = None
) -> list[Row]:
    """Return the next events in the order of their commits."""
    rows = await c.fetch_all(
        EVENTS.list_events_after, after=after, limit=limit, subject_id=subject_id, subject_type=subject_type
    )
    return [
        Row(row["sequence"], row["subject_type"], row["document"], row["subject_id"], row["age_seconds"])
        for row in rows
    ]


async def get_newest_sequence(c: Connection) -> int:
    """Return the newest event's number, 0 when there is none."""
    newest: int = await c.fetch_value(EVENTS.get_newest_sequence)
    return newest


async def get_kept(c: Connection) -> tuple[int, int]:
    """Return the numbers of the newest and the oldest event kept, 0 when there is none."""
    row = await c.fetch_one(EVENTS.get_kept)
    assert row is not None, "an aggregate always answers a row"  # noqa: S101
    return row["newest"], row["oldest"]


async def delete_old_events(c: Connection, days: int) -> int:
    """Forget what is older than it is kept, and return how many went."""
    return await forget(c, EVENTS.delete_old_events, days=days)
