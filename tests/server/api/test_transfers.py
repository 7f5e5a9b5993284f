"""Transfers, disks and checked objects, with a node at the other end that can misbehave."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from qarax_server.api import schemas
from qarax_server.api.services import DISKS, TRANSFERS
from qarax_server.control.core import Core
from qarax_server.control.pool_checks import PoolChecks
from tests.fakes.file_node import FileNode, running_file_node
from tests.server.api.conftest import Client, create, get
from tests.server.running import until

UP = "UPDATE hosts SET admitted = true, reachable = true, status = 'up' WHERE id = %(id)s"


@pytest.fixture
async def node() -> AsyncIterator[FileNode]:
    async with running_file_node() as node:
        yield node


@pytest.fixture
async def host_id(api: Client, core: Core, node: FileNode) -> str:
    """A host that is up, as the monitor would have written it."""
    body = {"name": "host-1", "address": "127.0.0.1", "port": node.port, "host_user": "root"}
    host_id = await create(api, "/hosts", body)
    async with core.database.connection() as connection:
        await connection.execute(UP, id=host_id)
    return host_id


@pytest.fixture
async def pool(api: Client, host_id: str, tmp_path: Path) -> str:
    """A pool whose directory is not there yet."""
    path = str(tmp_path / "pools" / "images")
    body = {"name": "images", "pool_type": "local", "config": {"path": path}, "host_id": host_id}
    return await create(api, "/storage-pools", body)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "kernel.bin"
    source.write_bytes(bytes(range(256)) * 64)
    return source


async def eventually(api: Client, path: str, wanted: Callable[[Any], bool]) -> Any:
    """GET until it is as wanted, for ten seconds."""

    async def found() -> list[Any]:
        answer = await get(api, path)
        return [answer] if wanted(answer) else []

    return (await until(found))[0]


async def transfer(api: Client, pool: str, source: Any, **fields: Any) -> tuple[int, Any]:
    body = {"name": "vmlinux", "source": str(source), "object_type": "kernel"} | fields
    headers = {"x-request-id": "my-transfer"}
    async with api.post(f"/storage-pools/{pool}/transfers", json=body, headers=headers) as response:
        return response.status, await response.json()


def ended(found: Any) -> bool:
    return found["status"] in {"completed", "failed"}


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


async def test_a_missing_file_is_named_with_its_host(
    api: Client, pool: str, source: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "pools" / "images"
    body = {"name": "disk", "storage_pool_id": pool, "object_type": "disk", "size_bytes": 0}
    async with api.post("/storage-objects", json=body) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (422, "file_missing")
    assert "host-1" in answer["message"]
    assert str(directory / "disk") in answer["message"]
    directory.mkdir(parents=True)
    (directory / "disk").write_bytes(source.read_bytes())
    object_id = await create(api, "/storage-objects", body)
    assert (await get(api, f"/storage-objects/{object_id}"))["size_bytes"] == source.stat().st_size
    async with api.delete(f"/storage-objects/{object_id}?delete_file=true") as response:
        assert response.status == 204
    assert not (directory / "disk").exists()


async def test_disks_are_made_blank_or_as_clones(
    api: Client, pool: str, tmp_path: Path, node: FileNode
) -> None:
    (tmp_path / "pools" / "images").mkdir(parents=True)
    blank = {"name": "blank", "size_bytes": 8192}
    async with api.post(f"/storage-pools/{pool}/disks", json=blank) as response:
        operation = await response.json()
        assert response.status == 202
        assert response.headers["Location"] == f"/operations/{operation['id']}"
    schemas.Operation().load(operation)
    done = await eventually(api, f"/operations/{operation['id']}", lambda found: found["status"] != "running")
    assert done["status"] == "succeeded"
    disk = await get(api, f"/storage-objects/{done['subject_id']}")
    assert (disk["name"], disk["size_bytes"], disk["object_type"]) == ("blank", 8192, "disk")
    (tmp_path / "pools" / "images" / "blank").write_bytes(b"x" * 8192)
    clone = {"name": "clone", "source_object_id": disk["id"]}
    async with api.post(f"/storage-pools/{pool}/disks", json=clone) as response:
        operation = await response.json()
    await eventually(api, f"/operations/{operation['id']}", lambda found: found["status"] == "succeeded")
    data = (tmp_path / "pools" / "images" / "clone").read_bytes()
    assert hashlib.sha256(data).digest() == hashlib.sha256(b"x" * 8192).digest()
    node.refusal = "no space left on the device"
    async with api.post(f"/storage-pools/{pool}/disks", json=blank | {"name": "third"}) as response:
        operation = await response.json()
    failed = await eventually(
        api, f"/operations/{operation['id']}", lambda found: found["status"] == "failed"
    )
    assert failed["reason"] == node.refusal


async def test_a_cancelled_disk_leaves_nothing(
    api: Client, node: FileNode, pool: str, tmp_path: Path
) -> None:
    (tmp_path / "pools" / "images").mkdir(parents=True)
    node.go_on.clear()
    async with api.post(f"/storage-pools/{pool}/disks", json={"name": "half", "size_bytes": 512}) as response:
        operation = await response.json()
    (tmp_path / "pools" / "images" / "half").write_bytes(b"half")
    path = f"/operations/{operation['id']}"
    async with api.post(f"{path}/cancel") as response:
        answer = await response.json()
    assert (response.status, answer["status"], answer["cancel_requested"]) == (200, "cancelled", True), answer
    assert not (tmp_path / "pools" / "images" / "half").exists()
    node.go_on.set()
    async with api.post(f"{path}/cancel") as response:
        assert (response.status, (await response.json())["code"]) == (409, "ended")
    assert await get(api, "/storage-objects") == []


async def test_a_disk_that_lost_its_server_is_settled(
    api: Client, pool: str, tmp_path: Path, node: FileNode
) -> None:
    (tmp_path / "pools" / "images").mkdir(parents=True)
    node.go_on.clear()
    async with api.post(f"/storage-pools/{pool}/disks", json={"name": "half", "size_bytes": 512}) as response:
        operation = await response.json()
    (tmp_path / "pools" / "images" / "half").write_bytes(b"half")
    app = api.app
    assert app is not None
    await app[DISKS].close()
    await app[DISKS].take_up()
    failed = await eventually(
        api, f"/operations/{operation['id']}", lambda found: found["status"] == "failed"
    )
    assert "restarted" in failed["reason"]
    assert not (tmp_path / "pools" / "images" / "half").exists()


async def test_a_disk_never_costs_a_file_that_was_there(api: Client, pool: str, tmp_path: Path) -> None:
    directory = tmp_path / "pools" / "images"
    directory.mkdir(parents=True)
    (directory / "mine").write_bytes(b"precious")
    async with api.post(f"/storage-pools/{pool}/disks", json={"name": "mine", "size_bytes": 512}) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (409, "file_exists")
    assert "host-1" in answer["message"]
    assert (directory / "mine").read_bytes() == b"precious"


@pytest.mark.parametrize("path", ["disks", "transfers"])
async def test_the_file_of_an_object_under_another_name_is_not_replaced(
    api: Client, pool: str, source: Path, tmp_path: Path, path: str
) -> None:
    directory = tmp_path / "pools" / "images"
    directory.mkdir(parents=True)
    (directory / "file").write_bytes(b"precious")
    body = {"name": "known", "storage_pool_id": pool, "object_type": "disk", "size_bytes": 0}
    await create(api, "/storage-objects", body | {"config": {"path": f"{directory}/file"}})
    bodies: dict[str, dict[str, Any]] = {
        "disks": {"name": "file", "size_bytes": 512},
        "transfers": {"name": "file", "source": str(source), "object_type": "kernel"},
    }
    async with api.post(f"/storage-pools/{pool}/{path}", json=bodies[path]) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (409, "path_taken")
    assert "storage object known" in answer["message"]
    assert (directory / "file").read_bytes() == b"precious"


async def test_what_is_under_way_has_its_path_for_itself(
    api: Client, pool: str, source: Path, node: FileNode, tmp_path: Path
) -> None:
    (tmp_path / "pools" / "images").mkdir(parents=True)
    node.go_on.clear()
    _, begun = await transfer(api, pool, source, name="one")
    async with api.post(f"/storage-pools/{pool}/disks", json={"name": "two", "size_bytes": 512}) as response:
        operation = await response.json()
    for name, holder in (("one", begun["id"]), ("two", operation["id"])):
        known = {"name": name, "storage_pool_id": pool, "object_type": "disk", "size_bytes": 512}
        (tmp_path / "pools" / "images" / name).write_bytes(b"x")
        async with api.post("/storage-objects", json=known) as response:
            answer = await response.json()
        assert (response.status, answer["code"]) == (409, "path_taken")
        assert holder in answer["message"]
        (tmp_path / "pools" / "images" / name).unlink()
        async with api.post(
            f"/storage-pools/{pool}/disks", json={"name": name, "size_bytes": 1024}
        ) as response:
            assert (response.status, holder in await response.text()) == (409, True)
    status, answer = await transfer(api, pool, source, name="two")
    assert (status, answer["code"]) == (409, "path_taken")
    node.go_on.set()
    await eventually(api, f"/storage-pools/{pool}/transfers/{begun['id']}", ended)


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
