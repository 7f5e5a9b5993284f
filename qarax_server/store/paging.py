"""Pages by key: what every `list_…_page` statement takes and gives.

A page begins after the key (name or time of creation, then id) of the last row of the page before, so its
cost does not grow with its depth and rows that come and go shift nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qarax_server.database import Connection


@dataclass(frozen=True)
class Key:
    """The key of a row: its id and what it is sorted by, as text."""

    id: str
    name: str
    time: str


@dataclass(frozen=True)
class Page:
    """Which page: all rows when `limit` is None; `sort` is a column, `-` before it for downwards."""

    limit: int | None = None
    sort: str = "created_at"
    after: Key | None = None


@dataclass(frozen=True)
class Listed:
    """A page as the JSON text that PostgreSQL wrote; `next_key` is None on the last one."""

    body: str
    total: int
    next_key: Key | None


async def list_page(connection: Connection, statement: str, page: Page, filters: Mapping[str, Any]) -> Listed:
    """Run a list statement."""
    after = page.after
    row = await connection.fetch_one(
        statement,
        limit=page.limit,
        sort=page.sort,
        after_id=after and after.id,
        after_name=after and after.name,
        after_time=after and after.time,
        **filters,
    )
    assert row is not None, "an aggregate always answers a row"  # noqa: S101
    full = page.limit is not None and row["length"] == page.limit
    next_key = Key(row["last_id"], row["last_name"], row["last_time"]) if full else None
    return Listed(row["body"], row["total"], next_key)
