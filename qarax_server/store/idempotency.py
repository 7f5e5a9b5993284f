"""Idempotency keys in PostgreSQL: which request came under a key, and what it was answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from qarax_server import queries
from qarax_server.database import Connection

KEYS = queries.load("idempotency")


@dataclass(frozen=True)
class Kept:
    """What is noted under a key; `status` is None while no answer is known.

    Attributes:
        seen_before: another request noted it.
        subject_id: the id that whatever the request makes gets, however often it is tried.
    """

    route: str
    body_digest: str
    subject_id: str
    status: int | None
    headers: Mapping[str, str]
    body: str
    seen_before: bool


async def claim_key(
    connection: Connection, actor: str, key: str, *, route: str, body_digest: str, subject_id: str, hours: int
) -> Kept:
    """Note a request under its key, or return what is noted there already; in autocommit."""
    await connection.execute(KEYS.forget_old_key, actor=actor, key=key, hours=hours)
    row = await connection.fetch_one(
        KEYS.claim_key, actor=actor, key=key, route=route, body_digest=body_digest, subject_id=subject_id
    )
    assert row is not None, "INSERT … DO UPDATE always returns its row"  # noqa: S101
    return Kept(
        row["route"],
        row["body_digest"],
        row["subject_id"],
        row["answer_status"],
        row["answer_headers"] or {},
        row["answer_body"] or "",
        row["seen_before"],
    )


async def settle_key(
    connection: Connection, actor: str, key: str, *, status: int, headers: Mapping[str, str], body: str
) -> None:
    """Keep the answer."""
    await connection.execute(
        KEYS.settle_key, actor=actor, key=key, status=status, headers=json.dumps(dict(headers)), body=body
    )


async def delete_old_keys(connection: Connection, hours: int) -> int:
    """Forget answers older than so many hours; say how many."""
    return await connection.execute(KEYS.delete_old_keys, hours=hours)


async def get_made(connection: Connection, subject_type: str, subject_id: str) -> str | None:
    """Return what a request under a key has made, as its GET answers it, or None."""
    text: str | None = await connection.fetch_value(KEYS.get_made, subject_type=subject_type, id=subject_id)
    return text
