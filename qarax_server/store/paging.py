"""Lists as JSON text, whole or by pages: what every `list_<noun>_resources` statement is run through.

A page begins after the key (name or time, then id) of the last row of the page before, so its cost does not
grow with its depth and rows that come and go shift nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection

PAGING = queries.load("paging")


@dataclass(frozen=True)
class Listing:
    """A noun's list: the statement that selects its rows, filters included, and the columns of its keys.

    Attributes:
        rows: a SELECT whose columns are the fields of the answer.
        time, name: what `sort=created_at` and `sort=name` go by.
        ids: the columns that tell rows of the same time or name apart.
    """

    rows: str
    time: str = "created_at"
    name: str = "name"
    ids: tuple[str, ...] = ("id",)


@dataclass(frozen=True)
class Page:
    """Which page: all rows when `limit` is None; `sort` is a field, `-` before it for downwards.

    `after` is the key of the last row before it, as text.
    """

    limit: int | None = None
    sort: str = "created_at"
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A page as the JSON text that PostgreSQL wrote; `next_key` is empty on the last one."""

    body: str
    total: int
    next_key: tuple[str, ...]


async def list_page(
    connection: Connection, listing: Listing, page: Page, filters: Mapping[str, Any]
) -> Listed:
    """Run a list."""
    if page.limit is None:
        rows = await connection.fetch_values(statement(listing, page), **filters)
        return Listed(f"[{','.join(rows)}]", len(rows), ())
    key = dict(zip(_places(listing), page.after, strict=False))
    row = await connection.fetch_one(statement(listing, page), limit=page.limit, **key, **filters)
    assert row is not None, "an aggregate always answers a row"  # noqa: S101
    return Listed(row["body"], row["total"], tuple(row["last_key"] or ()))


def statement(listing: Listing, page: Page) -> str:
    """Write the statement of a page: its order is in the text, so that an index can serve it."""
    column = listing.name if page.sort.endswith("name") else listing.time
    downwards = page.sort.startswith("-")
    key = (column, *listing.ids)
    places = ", ".join(f"%({place})s" for place in _places(listing))
    after = f"({', '.join(key)}) {'<' if downwards else '>'} ({places})" if page.after else "true"
    template: str = PAGING.whole if page.limit is None else PAGING.page
    return template.format(
        rows=listing.rows,
        key=", ".join(key),
        order=", ".join(f"{each} {'DESC' if downwards else 'ASC'}" for each in key),
        after=after,
    )


def _places(listing: Listing) -> list[str]:
    return [f"after_{each}" for each in ("key", *listing.ids)]
