"""PostgreSQL goes away, comes back, forgets; a migration is cut off: F6, F7, F8, F29."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time

import psycopg2
import pytest
from psycopg2 import sql

from qarax_tui.stack.errors import StackError
from tests.faults.conftest import PARTS, Scenario
from tests.faults.load import under_load
from tests.faults.world import CLOUD_HYPERVISOR, World, world_on
from tests.postgres import TestServer
from tests.server.running import until

pytestmark = pytest.mark.faults


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
        assert row.repair <= 2 * 2.5
        row.outcome = f"{load.answers.count(503)} of {len(load.answers)} answers 503, no 500, nothing lost"


async def test_f7_postgres_loses_what_it_had_committed(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F7", "row of a running VM lost, PostgreSQL crashed") as row:
        lost, kept = await world.run_vm(), await world.run_vm()
        world.watch_guests()
        world.ledger.forgiven.add(lost)
        forget(world, lost)
        await asyncio.to_thread(world.postgres.restart, crash=True)
        began = time.monotonic()
        await until(lambda: _ready(world), 20)

        async def shown() -> bool:
            events = await world.events()
            return any(each["subject_type"] == "orphan" and each["subject_id"] == lost for each in events)

        await until(shown, 30)
        row.repair = time.monotonic() - began
        assert world.vmms().keys() >= {lost, kept}
        row.outcome = "shown as an orphan, alive; the node was asked again"


def forget(world: World, vm_id: str) -> None:
    """What a crash does that loses the newest transactions: the VM was never there."""
    connection = psycopg2.connect(world.database.dsn)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute("SELECT host_id, boot_vcpus, memory_size FROM vms WHERE id = %s", (vm_id,))
        host_id, vcpus, memory = next(iter(cursor.fetchall()))
        cursor.execute("DELETE FROM events WHERE subject_id = %s", (vm_id,))
        cursor.execute("DELETE FROM vms WHERE id = %s", (vm_id,))
        cursor.execute(
            "UPDATE hosts SET allocated_vcpus = allocated_vcpus - %s,"
            " allocated_memory_bytes = allocated_memory_bytes - %s WHERE id = %s",
            (vcpus, memory, host_id),
        )


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
        scenario(world, "F29", "kill -9, 5 times") as row,
    ):
        empty(world)
        command = [*world.service("server").command, "--migrate-only"]
        given = {**world.service("server").environment, **world.database.environment, **world.environment}
        for attempt in range(5):
            with contextlib.suppress(subprocess.TimeoutExpired):
                run = subprocess.run
                await asyncio.to_thread(run, command, env=given, timeout=0.6 + attempt * 0.15, check=False)
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


def empty(world: World) -> None:
    statement(world, "DROP SCHEMA public CASCADE")
    statement(world, "CREATE SCHEMA public")


def newer(world: World) -> None:
    """The schema of a later version."""
    statement(
        world, "INSERT INTO schema_migrations (number, name, digest) VALUES (9999, '9999_later.sql', 'x')"
    )


def older(world: World) -> None:
    statement(world, "DELETE FROM schema_migrations WHERE number = 9999")


def statement(world: World, text: str) -> None:
    connection = psycopg2.connect(world.database.dsn)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(text))


async def _answers(world: World, path: str, status: int) -> bool:
    return (await world.request("GET", path)).status == status


async def _ready(world: World) -> bool:
    return await _answers(world, "/readyz", 200)
