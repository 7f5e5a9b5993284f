"""PostgreSQL: the pool, transactions that write their own history, notifications. The only importer of aiopg.

    async with database.connection() as c:      # autocommit, for reads
        row = await c.fetch_one(VMS.get_vm, id=vm_id)
    async with database.transaction() as tx:    # BEGIN … COMMIT, rolled back by any exception
        await tx.execute(VMS.delete_vm, id=vm_id)
        tx.record(Event("delete", "vm", vm_id, name, "deleted", before=text))

Recorded events are the last statements before the commit, under one advisory lock: their sequence numbers
grow in the order of commits, so a reader that went up to N never misses a smaller number. What a subject
looks like afterwards is read by the database itself, in the same statement. A commit returns when it is on
disk; a reader may see it some milliseconds earlier.
Migrations are run by `qarax_server.migrations`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiopg
import psycopg2
import psycopg2.extras

from qarax_server import caller, queries
from qarax_server.caller import Caller
from qarax_server.database_errors import mapped_errors
from qarax_server.errors import DatabaseUnavailable
from qarax_server.settings import Database as DatabaseSettings

log = logging.getLogger(__name__)

EVENTS = queries.load("events")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """One row of the flight recorder; for whom it happened is the running task's caller, unless given.

    `before` is the subject's JSON text as its GET gave it, None for one that is new.
    """

    action: str
    subject_type: str
    subject_id: str
    subject_name: str
    message: str
    before: str | None = None
    who: Caller = field(default_factory=caller.current)

    def row(self) -> dict[str, Any]:
        """Its columns."""
        return {name: value for name, value in vars(self).items() if name != "who"} | vars(self.who)


class Connection:
    """A connection in autocommit; parameters are bound by name (`%(id)s`)."""

    def __init__(self, raw: aiopg.Connection) -> None:
        self._raw = raw

    async def fetch_all(self, statement: str, **parameters: Any) -> list[Row]:
        """Run a statement and return its rows by column name."""
        async with self._executed(statement, parameters) as cursor:
            names = _columns(cursor)
            return [dict(zip(names, values, strict=True)) for values in cursor.raw]

    async def fetch_values(self, statement: str, **parameters: Any) -> list[Any]:
        """Run a statement and return the first column of its rows."""
        async with self._executed(statement, parameters) as cursor:
            return [values[0] for values in cursor.raw]

    async def fetch_one(self, statement: str, **parameters: Any) -> Row | None:
        """Run a statement and return its first row, or None."""
        async with self._executed(statement, parameters) as cursor:
            values = cursor.raw.fetchone()
            return None if values is None else dict(zip(_columns(cursor), values, strict=True))

    async def fetch_value(self, statement: str, **parameters: Any) -> Any:
        """Run a statement and return the first column of its first row, or None."""
        row = await self.fetch_one(statement, **parameters)
        return next(iter(row.values())) if row else None

    async def execute(self, statement: str, **parameters: Any) -> int:
        """Run a statement and return how many rows it touched."""
        async with self._executed(statement, parameters) as cursor:
            return int(cursor.rowcount)

    def _bound(self, statement: str, parameters: Mapping[str, Any]) -> bytes:
        """The statement with its parameters in it."""
        bound: bytes = self._raw.raw.cursor().mogrify(statement, parameters or None)
        return bound

    @contextlib.asynccontextmanager
    async def _executed(self, statement: str, parameters: Mapping[str, Any]) -> AsyncIterator[aiopg.Cursor]:
        with mapped_errors(self._raw):
            async with self._raw.cursor() as cursor:
                try:
                    await cursor.execute(self._bound(statement, parameters))  # type: ignore[arg-type]  # or bytes
                except asyncio.CancelledError as error:
                    # aiopg turns the server's statement_timeout into a cancellation nobody asked for
                    task = asyncio.current_task()
                    if task is not None and task.cancelling():
                        raise
                    raise DatabaseUnavailable("a database statement ran into its time limit") from error
                yield cursor


class Transaction(Connection):
    """A connection inside BEGIN … COMMIT that collects events for its end."""

    def __init__(self, raw: aiopg.Connection) -> None:
        super().__init__(raw)
        self._events: list[Event] = []
        self._waiting = [b"BEGIN"]
        self._begun = False
        self._told: tuple[str, list[str]] = ("", [])
        self.documents: dict[str, str] = {}

    def later(self, statement: str, **parameters: Any) -> None:
        """Run a statement whose result nobody needs right before the next one, in the same round trip."""
        self._waiting.append(super()._bound(statement, parameters).rstrip(b"; \n"))

    def record(self, event: Event) -> None:
        """Write this event as part of the commit."""
        self._events.append(event)

    async def snapshot(self, subject_type: str, subject_id: str) -> str | None:
        """Return a resource's JSON text as its GET gives it now: the `before` of an event."""
        text: str | None = await self.fetch_value(
            EVENTS.get_subject, subject_type=subject_type, id=subject_id
        )
        return text

    async def commit(self) -> None:
        """Write the events, then COMMIT, in one round trip."""
        if not self._events and not self._begun and len(self._waiting) == 1:
            return
        if not self._events:
            await self.execute("COMMIT")
            return
        subject_type, ids = self._told
        rows = await self.fetch_all(
            EVENTS.flush_and_commit,
            events=json.dumps([event.row() for event in self._events]),
            subject_type=subject_type,
            ids=ids,
        )
        self.documents = {row["id"]: row["document"] for row in rows if row["document"] is not None}

    def tell(self, subject_type: str, ids: Iterable[str]) -> None:
        """Read resources' JSON texts with the commit of events: `documents` are those after it, by id."""
        self._told = (subject_type, list(ids))

    def _bound(self, statement: str, parameters: Mapping[str, Any]) -> bytes:
        """What waits goes first: BEGIN at least, before the first statement."""
        waiting, self._waiting = self._waiting, []
        self._begun = True
        return b";\n".join([*waiting, super()._bound(statement, parameters)])


class Database:
    """The pool. It connects when first used, so it can be made while PostgreSQL is away."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._pool: aiopg.Pool | None = None

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer, or no connection gets free in time.
        """
        raw = await self._acquire()
        try:
            yield Connection(raw)
        finally:
            await self._release(raw)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Lend a connection inside a transaction: committed at the end, rolled back by an exception."""
        raw = await self._acquire()
        transaction = Transaction(raw)
        try:
            yield transaction
            await transaction.commit()
        except BaseException:
            await _roll_back(raw)
            raise
        finally:
            await self._release(raw)

    async def notifications(self, channel: str, idle_seconds: float = 5.0) -> AsyncGenerator[str, None]:
        """Listen on a connection of its own; yield "" once listening, then the newest payload.

        When nothing comes for a while, the connection is tried and "" is yielded, so that a reader that only
        looks when woken misses nothing for long.

        Raises:
            DatabaseUnavailable: the connection is lost; call again.
        """
        with mapped_errors():
            raw = await aiopg.connect(**self._arguments())
        try:
            await Connection(raw).execute(f"LISTEN {channel}")
            yield ""
            while True:
                with mapped_errors():
                    payload = await _next_payload(raw, idle_seconds)
                if payload is None:
                    await Connection(raw).execute("SELECT 1")
                yield payload or ""
        finally:
            raw.close()

    async def close(self) -> None:
        """End all connections."""
        if self._pool is not None:
            self._pool.terminate()
            await self._pool.wait_closed()
            self._pool = None

    async def _acquire(self) -> aiopg.Connection:
        if self._pool is None:
            self._pool = await aiopg.create_pool(
                minsize=0, maxsize=self._settings.max_connections, **self._arguments()
            )
        with mapped_errors():
            return await self._pool.acquire()

    async def _release(self, raw: aiopg.Connection) -> None:
        if self._pool is None:
            raw.close()
        else:
            await self._pool.release(raw)

    def _arguments(self) -> dict[str, Any]:
        settings = self._settings
        milliseconds = int(settings.statement_timeout_seconds * 1000)
        return {
            "host": settings.host,
            "port": settings.port,
            "user": settings.username,
            "password": settings.password or None,
            "dbname": settings.database_name,
            "sslmode": settings.sslmode,
            "sslrootcert": settings.sslrootcert or None,
            "sslcert": settings.sslcert or None,
            "sslkey": settings.sslkey or None,
            "application_name": "qarax-server",
            "options": f"-c statement_timeout={milliseconds} -c timezone=UTC",
            # the server's own limit ends a statement first; this one ends a wait for a silent server
            "timeout": settings.statement_timeout_seconds + 1,
            "enable_hstore": False,
            "enable_uuid": False,
        }


def _columns(cursor: aiopg.Cursor) -> list[str]:
    return [column.name for column in cursor.description or ()]


async def _next_payload(raw: aiopg.Connection, seconds: float) -> str | None:
    """The next one; of several that wait already the last, for one look sees what all of them told of."""
    try:
        async with asyncio.timeout(seconds):
            notice = await raw.notifies.get()
    except TimeoutError:
        return None
    while not raw.notifies.empty():
        notice = raw.notifies.get_nowait()
    return str(notice.payload)


async def _roll_back(raw: aiopg.Connection) -> None:
    """Return a connection to the state outside a transaction, or end it when that cannot be."""
    if raw.closed or raw.raw.isexecuting():
        raw.close()
        return
    if raw.raw.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE:
        return
    try:
        await Connection(raw).execute("ROLLBACK")
    except BaseException as error:  # noqa: BLE001 - the error on its way out says why; this ends the connection
        log.debug("rollback failed, the connection is closed: %s", error)
        raw.close()
