"""Every pool is looked at on every host that has it, used or not; each host answers for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qarax_server.control import pool_checks
from qarax_server.control.core import Core
from qarax_server.control.pool_checks import PoolChecks
from tests.fakes.file_node import FileNode, running_file_node
from tests.server.api.conftest import Client, create, get
from tests.server.api.test_pools_everywhere import UP, set_reachable

STALLED = "the storage did not answer in 4 s"


@pytest.fixture
async def nodes(api: Client, core: Core) -> AsyncIterator[dict[str, FileNode]]:
    """Two hosts that are up, a and b."""
    async with running_file_node() as one, running_file_node() as other:
        for name, node in (("a", one), ("b", other)):
            body = {"name": name, "address": "127.0.0.1", "port": node.port, "host_user": "root"}
            host_id = await create(api, "/hosts", body)
            async with core.database.connection() as connection:
                await connection.execute(UP, id=host_id)
        yield {"a": one, "b": other}


@pytest.fixture
async def unused(api: Client, tmp_path: Path) -> str:
    """A pool with no object in it."""
    body = {"name": "unused", "pool_type": "local", "config": {"path": str(tmp_path / "unused")}}
    return await create(api, "/storage-pools", body)


async def said(api: Client, pool: str) -> tuple[Any, ...]:
    found = await get(api, f"/storage-pools/{pool}")
    return found["status"], found["status_reason"]


async def test_one_hosts_stalled_storage_is_the_pools_error_until_it_heals(
    api: Client, core: Core, nodes: dict[str, FileNode], unused: str, tmp_path: Path
) -> None:
    checks = PoolChecks(core.database, core.nodes)
    await checks.look()
    assert await said(api, unused) == ("active", None)
    assert not (tmp_path / "unused").exists(), "a look makes nothing"
    nodes["b"].pool_refusal = STALLED
    await checks.look()
    assert await said(api, unused) == ("error", f"host b: {STALLED}")
    nodes["a"].pool_refusal = "it is on fire"
    await checks.look()
    assert await said(api, unused) == ("error", f"host a: it is on fire; host b: {STALLED}")
    nodes["a"].pool_refusal = nodes["b"].pool_refusal = ""
    await checks.look()
    assert await said(api, unused) == ("active", None)
    events = await get(api, "/events")
    ours = [event["message"] for event in events if event["action"] == "check"]
    assert len([message for message in ours if STALLED in message]) == 2
    assert ours[-1] == "storage pool unused: its directory is in order"


async def test_a_host_that_is_away_says_nothing_of_its_storage(
    api: Client, core: Core, nodes: dict[str, FileNode], unused: str
) -> None:
    checks = PoolChecks(core.database, core.nodes)
    nodes["b"].pool_refusal = STALLED
    await checks.look()
    hosts = {host["name"]: host["id"] for host in await get(api, "/hosts")}
    await set_reachable(core, hosts["b"], False)
    await checks.look()
    assert await said(api, unused) == ("active", None), "who is left has nothing to say against it"
    await set_reachable(core, hosts["b"], True)
    await checks.look()
    assert (await said(api, unused))[0] == "error"


async def test_a_round_asks_a_part_of_a_large_fleet_and_the_next_the_rest(
    api: Client, core: Core, nodes: dict[str, FileNode], unused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_checks, "MOST_PER_ROUND", 1)
    nodes["b"].pool_refusal = STALLED
    checks = PoolChecks(core.database, core.nodes)
    await checks.look()
    assert (await said(api, unused))[0] == "active", "host a is asked first"
    await checks.look()
    assert (await said(api, unused))[0] == "error"
    nodes["b"].pool_refusal = ""
    await checks.look()
    assert (await said(api, unused))[0] == "error", "it is host a's turn"
    await checks.look()
    assert (await said(api, unused))[0] == "active"


async def test_pools_in_use_are_looked_at_now_and_then(
    api: Client, core: Core, pool: str, node: FileNode, tmp_path: Path
) -> None:
    (tmp_path / "pools" / "images").mkdir(parents=True)
    (tmp_path / "pools" / "images" / "disk").write_bytes(b"x")
    body = {"name": "disk", "storage_pool_id": pool, "object_type": "disk", "size_bytes": 0}
    await create(api, "/storage-objects", body)
    node.pool_refusal = "the directory is gone"
    checks = PoolChecks(core.database, core.nodes)
    await checks.look()
    found = await get(api, f"/storage-pools/{pool}")
    assert (found["status"], found["status_reason"]) == ("error", "host host-1: the directory is gone")
    node.pool_refusal = ""
    await checks.look()
    found = await get(api, f"/storage-pools/{pool}")
    assert (found["status"], found["status_reason"], found["capacity_bytes"]) == ("active", None, 10**9)
    events = await get(api, f"/events?subject_id={pool}")
    assert [event["action"] for event in events] == ["create", "check", "check"]
