"""Changes of a VM that meet each other, or its start: nobody decides by what another one is changing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qarax_server.database import Database, Transaction
from tests.server.running import ControlPlane, Node, until

MIB = 1 << 20
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database() AND query NOT LIKE '%%last_seen_at%%'"""
"""Who waits, but for heartbeats."""


@pytest.fixture
async def host_id(plane: ControlPlane, node: Node) -> str:
    return await plane.add_host(node)


@pytest.fixture
async def vm_id(plane: ControlPlane, host_id: str) -> str:
    del host_id
    return await plane.add_vm(memory_size=64 * MIB)


@asynccontextmanager
async def held(database: Database, host_id: str) -> AsyncIterator[Transaction]:
    """The host's row, locked for as long as this lasts."""
    async with database.transaction() as tx:
        await tx.execute("SELECT 1 FROM hosts WHERE id = %(id)s FOR NO KEY UPDATE", id=host_id)
        yield tx


async def waiting(database: Database, count: int) -> None:
    async def so_many() -> bool:
        async with database.connection() as c:
            return bool(await c.fetch_value(WAITING) == count)

    await until(so_many)


async def allocated(plane: ControlPlane, host_id: str) -> Any:
    return (await plane.ok("GET", f"/hosts/{host_id}"))["allocated_memory_bytes"]


async def test_two_changes_at_once_claim_what_the_vm_has_in_the_end(
    plane: ControlPlane, database: Database, host_id: str, vm_id: str
) -> None:
    async with held(database, host_id):
        asked = [
            asyncio.create_task(plane.request("PATCH", f"/vms/{vm_id}", {"memory_size": 128 * MIB}))
            for _ in range(2)
        ]
        await waiting(database, 2)
    assert [status for status, *_ in await asyncio.gather(*asked)] == [200, 200]
    assert (await plane.vm(vm_id))["memory_size"] == 128 * MIB
    assert await allocated(plane, host_id) == 128 * MIB


async def test_what_runs_is_what_the_database_says(
    plane: ControlPlane, database: Database, host_id: str, vm_id: str
) -> None:
    """The change waits until the start is over, and is refused then."""
    async with held(database, host_id):
        change = asyncio.create_task(plane.request("PATCH", f"/vms/{vm_id}", {"memory_size": 128 * MIB}))
        await waiting(database, 1)
        assert (await plane.request("POST", f"/vms/{vm_id}/start"))[0] == 200
    status, answer, _ = await change
    assert (status, answer["code"]) == (409, "wrong_status")
    assert (await plane.vm(vm_id))["memory_size"] == 64 * MIB
    assert await allocated(plane, host_id) == 64 * MIB
