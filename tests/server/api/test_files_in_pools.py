"""A file in a pool belongs to one object, transfer or disk; what does not lie there is no object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.file_node import FileNode
from tests.server.api.conftest import Client, create, ended, eventually, get, transfer


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
