"""Transfers, with a node at the other end that can misbehave."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qarax_server.api import schemas
from qarax_server.api.services import TRANSFERS
from qarax_server.control.core import Core
from tests.fakes.file_node import FileNode, running_file_node
from tests.server.api.conftest import UP, Client, create, ended, eventually, get, transfer
from tests.server.running import until


async def test_a_transfer_ends_in_an_object(api: Client, pool: str, source: Path, node: FileNode) -> None:
    status, begun = await transfer(api, pool, source)
    assert status == 202
    schemas.Transfer().load(begun)
    done = await eventually(api, f"/storage-pools/{pool}/transfers/{begun['id']}", ended)
    assert (done["status"], done["error_message"]) == ("completed", None)
    assert done["transferred_bytes"] == done["total_bytes"] == source.stat().st_size
    found = await get(api, f"/storage-objects/{done['storage_object_id']}")
    assert Path(found["config"]["path"]).read_bytes() == source.read_bytes()
    assert (found["size_bytes"], found["object_type"]) == (source.stat().st_size, "kernel")
    assert await get(api, f"/storage-pools/{pool}/transfers?status=completed") == [done]
    assert node.request_ids == ["my-transfer"]
    again, answer = await transfer(api, pool, source)
    assert (again, answer["code"]) == (409, "storage_objects_name_taken")


async def test_a_refused_transfer_fails_with_the_node_s_words(api: Client, pool: str, node: FileNode) -> None:
    node.refusal = "there is no file /nowhere on this host"
    _, begun = await transfer(api, pool, "/nowhere")
    failed = await eventually(api, f"/storage-pools/{pool}/transfers/{begun['id']}", ended)
    assert (failed["status"], failed["error_message"]) == ("failed", node.refusal)
    assert failed["storage_object_id"] is None
    assert await get(api, "/storage-objects") == []


async def test_a_pool_that_its_node_refuses_is_in_error(api: Client, pool: str, node: FileNode) -> None:
    node.pool_refusal = "others than root may write there"
    _, begun = await transfer(api, pool, "/nowhere")
    await eventually(api, f"/storage-pools/{pool}/transfers/{begun['id']}", ended)
    found = await get(api, f"/storage-pools/{pool}")
    assert (found["status"], node.pool_refusal in found["status_reason"]) == ("error", True)


async def test_a_cancelled_transfer_leaves_nothing(
    api: Client, pool: str, source: Path, node: FileNode, tmp_path: Path
) -> None:
    node.go_on.clear()
    _, begun = await transfer(api, pool, source)
    path = f"/storage-pools/{pool}/transfers/{begun['id']}"
    await eventually(api, path, lambda found: found["status"] == "running" and node.transfers == 1)
    async with api.post(f"{path}/cancel") as response:
        cancelled = await response.json()
    assert (response.status, cancelled["status"]) == (200, "failed")
    assert cancelled["error_message"] == "cancelled by local"
    await asyncio.wait_for(node.cancelled.wait(), 10)

    async def is_empty() -> bool:
        return not list((tmp_path / "pools" / "images").iterdir())

    await until(is_empty)
    async with api.post(f"{path}/cancel") as response:
        assert response.status == 200
    node.go_on.set()
    _, second = await transfer(api, pool, source)
    done = await eventually(api, f"/storage-pools/{pool}/transfers/{second['id']}", ended)
    async with api.post(f"/storage-pools/{pool}/transfers/{done['id']}/cancel") as response:
        assert (response.status, (await response.json())["code"]) == (409, "wrong_state")


async def test_a_transfer_survives_its_server(api: Client, pool: str, source: Path, node: FileNode) -> None:
    """The server goes away half-way; the next one takes it up and one object comes of it."""
    node.go_on.clear()
    _, begun = await transfer(api, pool, source)
    path = f"/storage-pools/{pool}/transfers/{begun['id']}"
    await eventually(api, path, lambda _: node.transfers == 1)
    app = api.app
    assert app is not None
    await app[TRANSFERS].close()
    assert (await get(api, path))["status"] == "running"
    node.go_on.set()
    await app[TRANSFERS].take_up()
    done = await eventually(api, path, ended)
    assert (done["status"], node.transfers) == ("completed", 2)
    assert len(await get(api, "/storage-objects")) == 1


async def test_a_transfer_survives_its_node(api: Client, core: Core, source: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "pool")
    pool = await create(api, "/storage-pools", {"name": "p", "pool_type": "local", "config": {"path": path}})
    async with running_file_node() as first:
        first.go_on.clear()
        body = {"name": "host-2", "address": "127.0.0.1", "port": first.port, "host_user": "root"}
        host_id = await create(api, "/hosts", body)
        async with core.database.connection() as connection:
            await connection.execute(UP, id=host_id)
        _, begun = await transfer(api, pool, source)
        where = f"/storage-pools/{pool}/transfers/{begun['id']}"
        await eventually(api, where, lambda _: first.transfers == 1)
    async with running_file_node(first.port) as second:
        assert (await eventually(api, where, ended))["status"] == "completed"
        assert second.transfers == 1


async def test_a_transfer_waits_for_a_host(
    api: Client, pool: str, source: Path, host_id: str, core: Core
) -> None:
    async with core.database.connection() as connection:
        await connection.execute("UPDATE hosts SET reachable = false")
        _, begun = await transfer(api, pool, source)
        path = f"/storage-pools/{pool}/transfers/{begun['id']}"
        assert (await get(api, path))["status"] == "pending"
        await connection.execute(UP, id=host_id)
    assert (await eventually(api, path, ended))["status"] == "completed"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source": "http://"}, "source"),
        ({"source": "https://host:99999/x"}, "source"),
        ({"source": "https://user:password@host/x"}, "source"),
        ({"source": "relative/path"}, "source"),
        ({"source": "/etc/../shadow"}, "source"),
        ({"source": "/x", "name": "../x"}, "name"),
        ({"source": "/x", "name": "a/b"}, "name"),
        ({"source": "/x", "sha256": "abc"}, "sha256"),
    ],
)
async def test_a_transfer_that_makes_no_sense_is_refused(
    api: Client, pool_id: str, fields: dict[str, Any], field: str
) -> None:
    status, answer = await transfer(api, pool_id, **fields)
    assert (status, list(answer["errors"])) == (422, [field])
