"""Migrations: once, in order, guarded against other programs; and every named statement fits the schema."""

from __future__ import annotations

import asyncio
import re

import pytest

from qarax_server import packaged, queries
from qarax_server.database import Database
from qarax_server.errors import MigrationError
from qarax_server.migrations import migrate
from qarax_server.store import (
    boot_sources,
    hosts,
    operations,
    orphans,
    storage_objects,
    storage_pools,
    transfers,
    vms,
)
from qarax_server.store.paging import Page, statement

pytestmark = pytest.mark.sql

ONE = queries.Migration(1, "0001_one", "CREATE TABLE one (n int);")
TWO = queries.Migration(2, "0002_two", "CREATE TABLE two (n int); SELECT 1 / 0;")
ALL = [
    (path.stem, name)
    for path in sorted((packaged.directory("sql") / "queries").glob("*.sql"))
    for name in queries.statements(path)
    if path.stem != "paging"  # has gaps; `test_every_list_fits_the_schema` fills them
]
LISTINGS = [
    module.LISTING
    for module in (boot_sources, hosts, operations, orphans, storage_objects, storage_pools, transfers, vms)
]


async def test_each_is_applied_once(blank: Database) -> None:
    assert await migrate(blank) == [migration.name for migration in queries.migrations()]
    assert await migrate(blank) == []


async def test_servers_starting_together_take_turns(blank: Database) -> None:
    results = await asyncio.gather(*(migrate(blank, [ONE]) for _ in range(5)))
    assert max(results, key=len) == ["0001_one"]
    assert sum(map(len, results)) == 1


async def test_a_failing_one_leaves_nothing_half_done(blank: Database) -> None:
    with pytest.raises(Exception, match="division by zero"):
        await migrate(blank, [ONE, TWO])
    fixed = queries.Migration(2, "0002_two", "CREATE TABLE two (n int);")
    assert await migrate(blank, [ONE, fixed]) == ["0002_two"]


async def test_an_older_program_refuses_a_newer_schema(blank: Database) -> None:
    await migrate(blank, [ONE, queries.Migration(2, "0002_more", "SELECT 1")])
    with pytest.raises(MigrationError, match="newer than this program: it has migration 0002_more"):
        await migrate(blank, [ONE])


async def test_a_changed_file_is_refused(blank: Database) -> None:
    await migrate(blank, [ONE])
    with pytest.raises(MigrationError, match="0001_one was changed"):
        await migrate(blank, [queries.Migration(1, "0001_one", "SELECT 2")])


async def test_every_statement_fits_the_schema(database: Database) -> None:
    async with database.connection() as c:
        for noun, name in ALL:
            statement = queries.statements(packaged.directory("sql") / "queries" / f"{noun}.sql")[name]
            for part in statement.split(";\n"):
                if re.search(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", part, re.MULTILINE):
                    try:
                        await c.execute(f"PREPARE probe AS {numbered(part)}")
                    except Exception as error:
                        error.add_note(f"in {noun}.sql: {name}")
                        raise
                    await c.execute("DEALLOCATE probe")


async def test_every_list_fits_the_schema(database: Database) -> None:
    sorts = [direction + sort for direction in ("", "-") for sort in ("created_at", "name")]
    async with database.connection() as c:
        for listing in LISTINGS:
            after = ("",) * (1 + len(listing.ids))
            for page in [
                Page(limit, sort, key) for limit in (None, 10) for sort in sorts for key in ((), after)
            ]:
                await c.execute(f"PREPARE probe AS {numbered(statement(listing, page))}")
                await c.execute("DEALLOCATE probe")


def numbered(statement: str) -> str:
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, statement).replace("%%", "%")


def test_there_are_statements() -> None:
    assert len(ALL) > 5
