"""Disks made on a host, blank or as clones, with a node at the other end that can misbehave."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qarax_server.api import schemas
from qarax_server.api.services import DISKS
from tests.fakes.file_node import FileNode
from tests.server.api.conftest import Client, eventually, get


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
