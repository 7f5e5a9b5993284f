"""PostgreSQL goes away, comes back, forgets; a migration is cut off: F6, F7, F8, F29."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg2 import sql

from qarax_tui.stack.errors import StackError
from tests.faults.conftest import PARTS, Scenario
from tests.faults.load import under_load
from tests.faults.world import CLOUD_HYPERVISOR, World, world_on
from tests.postgres import TestServer
from tests.server.running import patience, until

pytestmark = pytest.mark.faults
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
END_SLEEPING = SLEEPING.replace("pid", "pg_terminate_backend(pid)", 1)


async def test_f6_postgres_restarted_under_load(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F6", "-m immediate, 6 clients, 5 guests") as row:
        await world.run_vms(5)
        world.watch_guests()
        async with under_load(world) as load:
            await load.more(30)
            gone = time.monotonic()
            await asyncio.to_thread(world.postgres.server.crash, world.postgres.record)
            away = await world.request("GET", "/vms")
            unready = await world.request("GET", "/readyz")
            world.postgres.record = await asyncio.to_thread(world.postgres.server.start)
            back = time.monotonic()
            await until(lambda: _ready(world), 20)
            row.downtime, row.repair = time.monotonic() - gone, time.monotonic() - back
            await load.more(30)
        assert (away.status, unready.status) == (503, 503)
        assert "Retry-After" in away.headers
        assert 500 not in load.answers
        assert row.repair <= 2 * 2.5 * patience()
        row.outcome = f"{load.answers.count(503)} of {len(load.answers)} answers 503, no 500, nothing lost"


async def test_f7_postgres_loses_what_it_had_committed(world: World, scenario: Scenario) -> None:
    """Commits that are answered before they are on disk are really lost by the crash."""
    async with scenario(world, "F7", "a running VM's last 10 s lost in PostgreSQL's crash") as row:
        kept, later, removed = await world.run_vm(), await world.create(), await world.create()
        await forgetful(world)
        lost = await world.run_vm()
        await world.ok("DELETE", f"/vms/{await world.create()}")
        await world.ok("POST", f"/vms/{later}/start")
        await world.ok("DELETE", f"/vms/{removed}")
        world.watch_guests()
        await asyncio.to_thread(world.postgres.restart, crash=True)
        began = time.monotonic()
        world.postgres.execute(sql.SQL("ALTER SYSTEM RESET ALL"))
        await until(lambda: _ready(world), 20)
        assert {vm["id"] for vm in await world.everything("/vms")} == {kept, later, removed}
        world.ledger.forgiven |= world.ledger.created - {kept, later, removed}
        orphan = await until(lambda: _orphan(world), 30)
        row.repair = time.monotonic() - began
        assert (orphan["vm_id"], orphan["status"]) == (lost, "running")
        assert world.vmms().keys() == {lost, kept, later}
        await world.vm_is(later, "running")
        back = await world.vm_is(removed, "unknown")
        assert back["status_reason"] == "the node of its host does not have this VM"
        await world.ok("DELETE", f"/vms/{removed}")
        await world.ok("POST", f"/hosts/{orphan['host_id']}/orphans/{lost}/adopt")
        assert (await world.ok("GET", f"/vms/{lost}"))["status"] == "running"
        world.ledger.forgiven.discard(lost)
        world.ledger.created.discard(lost)
        row.outcome = "an orphan, alive, adopted; a lost start is running, a lost deletion is named"


async def forgetful(world: World) -> None:
    """From here on PostgreSQL answers a commit long before it is on disk."""
    name = sql.Identifier(world.database.database_name)
    execute = world.postgres.execute
    execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
    for setting in ("wal_writer_delay = '10s'", "wal_writer_flush_after = '1GB'"):
        execute(sql.SQL("ALTER SYSTEM SET " + setting))
    await asyncio.to_thread(world.postgres.restart)
    await until(lambda: _ready(world), 20)


async def _orphan(world: World) -> Any:
    found = await world.ok("GET", "/orphans")
    return found[0] if found else None


async def test_f8_postgres_down_at_server_start(bare: World, scenario: Scenario) -> None:
    world = bare
    async with scenario(world, "F8", "server started before PostgreSQL") as row:
        await asyncio.to_thread(world.postgres.stop)
        for name in PARTS:
            await world.start(name, ready=name != "server")
        await until(lambda: _answers(world, "/healthz", 200), 30)
        assert (await world.request("GET", "/readyz")).status == 503
        away = await world.request("GET", "/vms")
        assert (away.status, away.code) == (503, "database_unavailable")
        world.postgres.record = await asyncio.to_thread(world.postgres.server.start)
        began = time.monotonic()
        await until(lambda: _ready(world), 30)
        row.repair = time.monotonic() - began
        await world.add_host()
        await world.run_vm()


async def test_f29_a_migration_killed_half_way(postgres: TestServer, scenario: Scenario) -> None:
    async with (
        world_on(postgres, CLOUD_HYPERVISOR) as world,
        scenario(world, "F29", "kill -9 between two statements of a migration, 3 times") as row,
    ):
        empty(world)
        for pausing in ("CREATE FUNCTION", "CREATE VIEW", "CREATE INDEX"):
            with pausing_at(world, pausing):
                await world.start("server", ready=False)
                await until(lambda: _is_half_way(world), 30)
                await world.kill("server")
        for name in PARTS:
            await world.start(name)
        await world.add_host()
        await world.run_vm()
        await world.kill("server")
        newer(world)
        with contextlib.suppress(StackError):
            await world.start("server")
        said = world.log("server").splitlines()[-1]
        assert "qarax-server:" in said
        assert "9999" in said
        older(world)
        await world.start("server")
        row.outcome = f"rerun completes; an older server says: {said[:70]}"


@contextlib.contextmanager
def pausing_at(world: World, tag: str) -> Iterator[None]:
    """Whoever runs such a statement sleeps after it, inside its transaction."""
    world.statement("CREATE SCHEMA IF NOT EXISTS pausing")
    world.statement(
        "CREATE FUNCTION pausing.pause() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_sleep(600); END$$",
    )
    world.statement(
        f"CREATE EVENT TRIGGER pause ON ddl_command_end WHEN TAG IN ('{tag}')"
        " EXECUTE FUNCTION pausing.pause()",
    )
    try:
        yield
    finally:
        world.statement(END_SLEEPING)
        world.statement("DROP EVENT TRIGGER pause")
        world.statement("DROP SCHEMA pausing CASCADE")


async def _is_half_way(world: World) -> bool:
    return bool(world.statement(SLEEPING))


def empty(world: World) -> None:
    world.statement("DROP SCHEMA public CASCADE")
    world.statement("CREATE SCHEMA public")


def newer(world: World) -> None:
    """The schema of a later version."""
    world.statement(
        "INSERT INTO schema_migrations (number, name, digest) VALUES (9999, '9999_later.sql', 'x')"
    )


def older(world: World) -> None:
    world.statement("DELETE FROM schema_migrations WHERE number = 9999")


async def _answers(world: World, path: str, status: int) -> bool:
    return (await world.request("GET", path)).status == status


async def _ready(world: World) -> bool:
    return await _answers(world, "/readyz", 200)
