"""A pool whose storage stalls, and ten thousand VMs in turn: F30, F32."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Scenario
from tests.faults.test_consoles import descriptors, memory, tasks
from tests.faults.world import World
from tests.server.running import patience, until

pytestmark = pytest.mark.faults
CYCLES, WARM_UP, CLIENTS = 10_000, 2_000, 8
MEBIBYTE = 1 << 20


@contextmanager
def stalled(path: Path) -> Iterator[None]:
    """A FUSE file system at `path` whose server never answers: whoever asks it waits."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"stall", os.fsencode(path), b"fuse", 0, options) != 0:
        os.close(device)
        pytest.skip(f"mounting FUSE is not allowed here: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(device)  # ends every wait with an error
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
async def test_f30_a_pools_storage_stalls(world: World, scenario: Scenario, used: bool) -> None:
    load = "one of 2 pools stalls, 3 guests" if used else "an empty pool stalls, 3 guests"
    async with scenario(world, "F30", load) as row:
        vms = await world.run_vms(3)
        world.watch_guests()
        path = world.state.path / "stalls"
        path.mkdir(mode=0o755)
        host_id = (await world.everything("/hosts"))[0]["id"]
        new = {
            "name": "stalls",
            "pool_type": "local",
            "host_id": host_id,
            "config": {"path": str(path)},
        }
        pool_id = await world.ok("POST", "/storage-pools", new)
        (path / "disk").write_bytes(bytes(MEBIBYTE))
        disk = {"name": "d", "storage_pool_id": pool_id, "object_type": "disk", "size_bytes": MEBIBYTE}
        if used:
            await world.ok("POST", "/storage-objects", {**disk, "config": {"path": str(path / "disk")}})
        began = time.monotonic()
        with stalled(path):
            await until(lambda: _pool_is(world, pool_id, "error"), 90)
            row.downtime = time.monotonic() - began
            others = await asyncio.gather(
                *(world.request("POST", f"/vms/{vm_id}/pause") for vm_id in vms),
                world.request("POST", "/vms", world.new_vm()),
            )
            assert [answer.status for answer in others] == [200, 200, 200, 201]
            assert max(answer.seconds for answer in others) < 5 * patience()
            host = await world.ok("GET", f"/hosts/{host_id}")
            assert host["status"] == "up"
        healed = time.monotonic()
        await until(lambda: _pool_is(world, pool_id, "active"), 90)
        row.repair = time.monotonic() - healed


async def _pool_is(world: World, pool_id: str, status: str) -> bool:
    pool = await world.ok("GET", f"/storage-pools/{pool_id}")
    return bool(pool["status"] == status)


@pytest.mark.timeout(1800)
async def test_f32_ten_thousand_cycles(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F32", f"{CYCLES} × create → delete, {CLIENTS} clients") as row:
        began = time.monotonic()
        await cycles(world, WARM_UP)
        files = {part: descriptors(world, part) for part in ("server", "node", "keeper")}
        before = {part: memory(world, part) for part in files}
        tasks_before, connections = await tasks(world), database_connections(world)
        await cycles(world, CYCLES - WARM_UP)
        grown = {part: (memory(world, part) - before[part]) / MEBIBYTE for part in files}
        for part, count in files.items():
            assert descriptors(world, part) <= count + 10, part
        assert max(grown.values()) <= 8, grown
        assert await tasks(world) <= tasks_before + 5
        assert database_connections(world) <= connections + 5
        said = ", ".join(f"{part} {mebibytes:+.1f}" for part, mebibytes in grown.items())
        row.outcome = f"MiB after warm-up: {said}; {CYCLES / (time.monotonic() - began):.0f} cycles/s"


def database_connections(world: World) -> int:
    ((count,),) = world.statement(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'qarax-server'"
    )
    return int(count)


async def cycles(world: World, count: int) -> None:
    """Create and delete so many VMs, several at a time."""
    turns = iter(range(count))

    async def client() -> None:
        for _ in turns:
            vm_id = await world.create()
            await world.ok("DELETE", f"/vms/{vm_id}")

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
