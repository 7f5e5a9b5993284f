"""Pools that name no host are meant on every host; what is brought there is on one, and VMs follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qarax_server.control.core import Core
from tests.fakes.file_node import running_file_node
from tests.server.api.conftest import Client, create, ended, eventually, get, transfer

UP = """
UPDATE hosts SET
    admitted = true, reachable = true, status = 'up', cpus = 8, memory_bytes = 2 ^ 33,
    usable_drivers = '{simulated}'
WHERE id = %(id)s
"""
SIZE = {"hypervisor": "cloud_hv", "boot_vcpus": 1, "max_vcpus": 1, "memory_size": 2**26}


@pytest.fixture
async def hosts(api: Client, core: Core) -> AsyncIterator[list[str]]:
    """Two hosts that are up, a and b."""
    async with running_file_node() as one, running_file_node() as other:
        ids = []
        for name, node in (("a", one), ("b", other)):
            body = {"name": name, "address": "127.0.0.1", "port": node.port, "host_user": "root"}
            ids.append(await create(api, "/hosts", body))
            async with core.database.connection() as connection:
                await connection.execute(UP, id=ids[-1])
        yield ids


async def set_reachable(core: Core, host_id: str, reachable: bool) -> None:
    async with core.database.connection() as connection:
        statement = "UPDATE hosts SET reachable = %(reachable)s WHERE id = %(id)s"
        await connection.execute(statement, id=host_id, reachable=reachable)


async def new_pool(api: Client, directory: Path, **fields: Any) -> str:
    directory.mkdir(exist_ok=True)
    body = {"name": directory.name, "pool_type": "local", "config": {"path": str(directory)}} | fields
    return await create(api, "/storage-pools", body)


async def brought(api: Client, pool: str, source: Path, name: str, kind: str = "kernel") -> tuple[Any, Any]:
    """Transfer a file; return the transfer and its object."""
    _, begun = await transfer(api, pool, source, name=name, object_type=kind)
    done = await eventually(api, f"/storage-pools/{pool}/transfers/{begun['id']}", ended)
    assert done["status"] == "completed", done
    return done, await get(api, f"/storage-objects/{done['storage_object_id']}")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.write_bytes(b"kernel")
    return source


async def test_a_vm_goes_where_its_files_are(
    api: Client, core: Core, hosts: list[str], source: Path, tmp_path: Path
) -> None:
    pool = await new_pool(api, tmp_path / "everywhere")
    await set_reachable(core, hosts[0], False)
    done, kernel = await brought(api, pool, source, "vmlinux")
    assert done["host_id"] == kernel["host_id"] == hosts[1]
    await set_reachable(core, hosts[0], True)
    _, initrd = await brought(api, pool, source, "initrd", "initrd")
    assert initrd["host_id"] == hosts[1], "the host with most of the pool's files brings the next one"
    body = {"name": "linux", "kernel_image_id": kernel["id"], "initrd_image_id": initrd["id"]}
    vm = {"name": "vm", **SIZE, "boot_source_id": await create(api, "/boot-sources", body)}
    async with api.post("/vms?dry_run=true", json=vm) as response:
        placement = await response.json()
    assert placement["host_id"] == hosts[1]
    assert placement["counts"] == {"files": 1, "fits": 1}
    async with core.database.connection() as connection:
        await connection.execute("UPDATE hosts SET status = 'down' WHERE id = %(id)s", id=hosts[1])
    async with api.post("/vms", json=vm) as response:
        refusal = await response.json()
    assert (response.status, refusal["code"]) == (422, "no_host_fits")
    assert f"{tmp_path}/everywhere/initrd is on another host" in refusal["message"]


async def test_a_shared_pool_and_a_pool_of_one_host_need_no_such_word(
    api: Client, hosts: list[str], source: Path, tmp_path: Path
) -> None:
    shared = await new_pool(api, tmp_path / "shared", pool_type="nfs")
    assert (await brought(api, shared, source, "vmlinux"))[1]["host_id"] is None
    single = await new_pool(api, tmp_path / "single", host_id=hosts[1])
    done, found = await brought(api, single, source, "vmlinux")
    assert (done["host_id"], found["host_id"]) == (hosts[1], None)


async def test_a_clone_is_made_where_its_source_is(
    api: Client, core: Core, hosts: list[str], source: Path, tmp_path: Path
) -> None:
    pool = await new_pool(api, tmp_path / "everywhere")
    await set_reachable(core, hosts[0], False)
    _, golden = await brought(api, pool, source, "golden", "disk")
    await set_reachable(core, hosts[0], True)
    clone = {"name": "clone", "source_object_id": golden["id"]}
    async with api.post(f"/storage-pools/{pool}/disks", json=clone) as response:
        operation = await response.json()
    assert operation["parameters"]["host_id"] == hosts[1]
    done = await eventually(api, f"/operations/{operation['id']}", lambda found: found["ended_at"])
    assert (await get(api, f"/storage-objects/{done['subject_id']}"))["host_id"] == hosts[1]
    elsewhere = await new_pool(api, tmp_path / "elsewhere", host_id=hosts[0])
    async with api.post(f"/storage-pools/{elsewhere}/disks", json=clone) as response:
        refusal = await response.json()
    assert (response.status, "the file of golden" in refusal["message"]) == (422, True)


async def test_a_host_with_files_of_its_own_is_not_forgotten(
    api: Client, core: Core, hosts: list[str], source: Path, tmp_path: Path
) -> None:
    pool = await new_pool(api, tmp_path / "everywhere")
    await new_pool(api, tmp_path / "single", host_id=hosts[0])
    _, found = await brought(api, pool, source, "vmlinux")
    async with api.delete(f"/hosts/{hosts[0]}") as response:
        refusal = await response.json()
    assert (response.status, refusal["code"]) == (409, "in_use")
    assert refusal["message"] == "host a is in use: storage pool single, storage object vmlinux"
    await set_reachable(core, hosts[0], False)
    async with api.delete(f"/storage-objects/{found['id']}?delete_file=true") as response:
        assert response.status == 503, "another host that answers does not have the file"
