"""A guest that turns its raw disk into something else: it is what was declared, or it does not start."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.console import Follower
from tests.faults.test_real_guests import MEMORY, says, type_line
from tests.faults.world import QEMU, World, world_on
from tests.guest_image import BANNER, GuestImage
from tests.postgres import TestServer
from tests.server.running import until

pytestmark = [pytest.mark.security, pytest.mark.qemu]

DISK_BYTES = 1 << 20
SECRET = b"a file of the host"


@pytest.fixture
async def world(postgres: TestServer, guest_image: GuestImage) -> AsyncIterator[World]:
    """A control plane with one host and real guests."""
    async with world_on(postgres, QEMU, guest_image) as world:
        for name in ("keeper", "node", "server"):
            await world.start(name)
        await world.add_host()
        yield world


async def blank_disk(world: World, name: str) -> tuple[str, Path]:
    """(id, path) of a raw disk in the pool of the images."""
    pool = await world._images()
    new = {"name": name, "size_bytes": DISK_BYTES}
    operation = await world.ok("POST", f"/storage-pools/{pool}/disks", new)
    disk = operation["subject_id"]

    async def made() -> bool:
        return (await world.request("GET", f"/storage-objects/{disk}")).status == 200

    await until(made, 20)
    return disk, world.state.images / name


async def begins_with(path: Path, header: bytes) -> bool:
    return path.read_bytes().startswith(header)


async def test_a_raw_disk_on_which_the_guest_wrote_a_qcow2_header_is_refused_at_the_next_start(
    world: World, tmp_path: Path
) -> None:
    """The header names a file of the host as backing file, as the attack that this is about does."""
    (tmp_path / "secret").write_bytes(SECRET)
    evil = tmp_path / "evil.qcow2"
    backing = ("-b", tmp_path / "secret", "-F", "raw")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, evil, "1M"], check=True)  # noqa: ASYNC221
    header = evil.read_bytes()[:512].rstrip(b"\0")
    disk, path = await blank_disk(world, "data.raw")
    attached = [{"storage_object_id": disk, "readonly": False, "image_type": "raw"}]
    vm_id = await world.run_vm(memory_size=MEMORY, disks=attached)
    async with Follower(world, vm_id) as console:
        await until(partial(says, console, BANNER), 120)
    octal = "".join(f"\\{byte:03o}" for byte in header)
    for begin in range(0, len(octal), 400):  # a line of the terminal holds no more
        redirect = ">" if begin == 0 else ">>"
        await type_line(world, vm_id, f"printf '{octal[begin : begin + 400]}' {redirect} /tmp/h")
    await type_line(world, vm_id, "dd if=/tmp/h of=/dev/vda conv=notrunc && sync")
    await until(partial(begins_with, path, header), 60)
    await world.ok("POST", f"/vms/{vm_id}/stop?grace=0")
    refused = await world.request("POST", f"/vms/{vm_id}/start")
    assert refused.status == 422, refused
    assert "declared raw and its header says qcow2" in refused.body["message"]
    assert refused.body["errors"].keys() == {"disks.0"}
    assert (await world.ok("GET", f"/vms/{vm_id}"))["status"] == "shutdown"
    assert world.vmms() == {}
    # nor is it believed when an operator declares what it says of itself: it would lead out of the pool
    body = world.new_vm(disks=[{**attached[0], "image_type": "qcow2"}])
    other = await world.request("POST", "/vms", body)
    assert other.status == 422, other
    assert "has a backing file, which may lie outside its pool" in other.body["message"]
