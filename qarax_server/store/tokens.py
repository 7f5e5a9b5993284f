"""Tokens in PostgreSQL: by digest, never the token itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from qarax_server import queries
from qarax_server.database import Connection, Row
from qarax_server.roles import Role

TOKENS = queries.load("tokens")


@dataclass(frozen=True)
class Token:
    """One row. `status` is `valid`, `expired` or `revoked` by the database's clock when it was read."""

    id: str
    name: str
    role: Role
    digest: str
    status: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


async def insert_token(
    connection: Connection, name: str, role: Role, digest: str, seconds: float | None
) -> Token:
    """Keep a new token for so many seconds, or for good.

    Raises:
        Conflict: a token of this name is not revoked yet.
    """
    row = await connection.fetch_one(
        TOKENS.insert_token, name=name, role=role.value, digest=digest, seconds=seconds
    )
    assert row is not None, "INSERT always returns its row"  # noqa: S101
    return _token(row)


async def list_tokens(connection: Connection) -> list[Token]:
    """List all of them, revoked and expired ones too."""
    return [_token(row) for row in await connection.fetch_all(TOKENS.list_tokens)]


async def use_token(connection: Connection, digest: str) -> Token | None:
    """Return the token of a digest and note that a valid one was used; None when there is none."""
    row = await connection.fetch_one(TOKENS.use_token, digest=digest)
    return _token(row) if row else None


async def revoke_token(connection: Connection, name: str) -> Token | None:
    """Revoke the token of this name and return it; None when there is none to revoke."""
    row = await connection.fetch_one(TOKENS.revoke_token, name=name)
    return _token(row) if row else None


async def list_valid_ids(connection: Connection, ids: Collection[str]) -> set[str]:
    """Say which of these tokens are still valid."""
    rows = await connection.fetch_all(TOKENS.list_valid_ids, ids=list(ids))
    return {row["id"] for row in rows}


async def list_valid_digests(connection: Connection) -> list[str]:
    """List the digests of all valid tokens."""
    return [row["digest"] for row in await connection.fetch_all(TOKENS.list_valid_digests)]


def _token(row: Row) -> Token:
    return Token(**{**row, "role": Role(row["role"])})
