"""The pool, transactions and the order of events, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json

import pytest

from qarax_server import caller
from qarax_server.database import Database, Event
from qarax_server.errors import Conflict, DatabaseUnavailable
from qarax_server.settings import Database as DatabaseSettings

INSERT_HOST = (
    "INSERT INTO hosts (name, address, port, host_user) VALUES (%(name)s, 'h', %(port)s, 'u') RETURNING id"
)


async def insert_host(database: Database, name: str, port: int) -> str:
    async with database.transaction() as tx:
        host_id: str = await tx.fetch_value(INSERT_HOST, name=name, port=port)
        tx.record(Event("create", "host", host_id, name, f"host {name} registered"))
        return host_id


async def count(database: Database, table: str) -> int:
    async with database.connection() as c:
        return int(await c.fetch_value(f"SELECT count(*) FROM {table}"))  # noqa: S608 - a literal of the test


async def test_an_event_holds_the_resource_as_its_get_gives_it(database: Database) -> None:
    caller.become(caller.Caller("ada", "r-1"))
    host_id = await insert_host(database, "one", 1)
    async with database.connection() as c:
        row = await c.fetch_one("SELECT * FROM events")
    assert row is not None
    assert (row["actor"], row["request_id"], row["subject_type"], row["before"]) == (
        "ada",
        "r-1",
        "host",
        None,
    )
    assert row["after"]["id"] == host_id
    assert row["after"]["status"] == "down"


async def test_a_failed_transaction_leaves_neither_row_nor_event(database: Database) -> None:
    await insert_host(database, "one", 1)
    with pytest.raises(Conflict, match="a host of this name exists") as caught:
        await insert_host(database, "one", 2)
    assert caught.value.errors == {"name": ["a host of this name exists: choose another name"]}
    with pytest.raises(Conflict, match="address and port"):
        await insert_host(database, "two", 1)
    assert await count(database, "hosts") == await count(database, "events") == 1


async def test_a_reader_that_reached_a_sequence_never_misses_a_smaller_one(database: Database) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            after = seen[-1] if seen else 0
            async with database.connection() as c:
                rows = await c.fetch_all(
                    "SELECT sequence FROM events WHERE sequence > %(after)s ORDER BY sequence", after=after
                )
            seen.extend(row["sequence"] for row in rows)

    reader = asyncio.create_task(read())
    await asyncio.gather(*(insert_host(database, f"h{n}", n) for n in range(1, 200)))
    done.set()
    await reader
    async with database.connection() as c:
        rows = await c.fetch_all("SELECT sequence FROM events ORDER BY sequence")
    everything = [row["sequence"] for row in rows]
    assert len(everything) == 199
    assert seen == everything[: len(seen)]
    assert seen


async def test_a_cancelled_statement_gives_the_pool_back_a_working_place(database: Database) -> None:
    async def hold() -> None:
        async with database.transaction() as tx:
            await tx.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hold())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(database, "hosts") == 0


async def test_a_statement_over_its_time_is_an_error_not_a_cancellation(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL statement_timeout = 50")
        with pytest.raises(DatabaseUnavailable, match="time limit"):
            await tx.execute("SELECT pg_sleep(10)")
        await tx.execute("ROLLBACK")
        await tx.execute("BEGIN")
    assert await count(database, "hosts") == 0


async def test_a_lost_connection_is_told_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.connection() as c:
            await c.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await count(database, "hosts") == 0


async def test_an_idle_connection_that_was_cut_is_not_handed_out(database: Database) -> None:
    async with database.connection() as first, database.connection() as second:
        pid = await first.fetch_value("SELECT pg_backend_pid()")
        await second.execute("SELECT pg_terminate_backend(%(pid)s)", pid=pid)
    await asyncio.sleep(0.1)
    for _ in range(3):
        assert await count(database, "hosts") == 0


async def test_nobody_listening_is_a_sentence() -> None:
    away = Database(DatabaseSettings(host="127.0.0.1", port=1))
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL is away"):
        async with away.connection():
            pass
    await away.close()


async def test_a_commit_wakes_listeners(database: Database) -> None:
    woken = database.notifications("qarax_events")
    assert await anext(woken) == ""
    await insert_host(database, "one", 1)
    assert await asyncio.wait_for(anext(woken), 5) == ""
    await woken.aclose()


async def test_events_keep_the_order_of_their_recording(database: Database) -> None:
    async with database.transaction() as tx:
        host_id: str = await tx.fetch_value(INSERT_HOST, name="one", port=1)
        for number in range(20):
            tx.record(Event(f"a{number}", "host", host_id, "one", "-", before=json.dumps({"n": number})))
    async with database.connection() as c:
        rows = await c.fetch_all("SELECT action, before FROM events ORDER BY sequence")
    assert [row["action"] for row in rows] == [f"a{n}" for n in range(20)]
    assert rows[7]["before"] == {"n": 7}
