"""Brings the schema up to this program: each file of `sql/migrations` once, in order, a transaction each.

Two servers that start together take turns by an advisory lock. A file that changed after it was applied, and
a schema newer than this program, are refused: both mean that the wrong program is at work.
"""

from __future__ import annotations

import hashlib
import logging

from qarax_server import queries
from qarax_server.database import Connection, Database, Transaction
from qarax_server.errors import MigrationError

log = logging.getLogger(__name__)

MIGRATIONS = queries.load("migrations")


async def migrate(database: Database, migrations: list[queries.Migration] | None = None) -> list[str]:
    """Apply what is missing and return the names of what was applied.

    Raises:
        MigrationError: the schema is newer than this program, or an applied file was changed.
        DatabaseUnavailable: PostgreSQL is away.
    """
    wanted = queries.migrations() if migrations is None else migrations
    names = []
    while name := await _apply_next(database, wanted):
        log.info("migration %s applied", name)
        names.append(name)
    return names


async def check(connection: Connection) -> None:
    """Raise MigrationError when the schema is not exactly the one this program knows."""
    _next(queries.migrations(), await _applied(connection))


async def _apply_next(database: Database, wanted: list[queries.Migration]) -> str | None:
    async with database.transaction() as tx:
        await tx.execute(MIGRATIONS.lock_migrations)
        await tx.execute(MIGRATIONS.create_table)
        migration = _next(wanted, await _applied(tx))
        if migration is None:
            return None
        await tx.execute("SET LOCAL statement_timeout = 0")
        await tx.execute(migration.text)
        await _note(tx, migration)
        return migration.name


async def _applied(connection: Connection) -> dict[int, tuple[str, str]]:
    rows = await connection.fetch_all(MIGRATIONS.list_migrations)
    return {row["number"]: (row["name"], row["digest"]) for row in rows}


async def _note(tx: Transaction, migration: queries.Migration) -> None:
    await tx.execute(
        MIGRATIONS.insert_migration,
        number=migration.number,
        name=migration.name,
        digest=_digest(migration.text),
    )


def _next(wanted: list[queries.Migration], applied: dict[int, tuple[str, str]]) -> queries.Migration | None:
    """Return the first migration that is missing, after checking those that are there."""
    known = {migration.number: migration for migration in wanted}
    newer = sorted(set(applied) - set(known))
    if newer:
        raise MigrationError(
            f"the database's schema is newer than this program: it has migration {applied[newer[-1]][0]}. "
            "Start the newer qarax-server, or restore a backup made before the upgrade."
        )
    for number, (name, digest) in applied.items():
        if digest != _digest(known[number].text):
            raise MigrationError(
                f"migration {name} was changed after it was applied to this database. "
                "Use the program that made the schema, or start with an empty database."
            )
    missing = [migration for migration in wanted if migration.number not in applied]
    return missing[0] if missing else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
