"""Consoles under pressure: full disks, slow and vanished readers, logs tampered with: F12, F22, F23."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.conftest import Scenario
from tests.faults.console import Follower
from tests.faults.proxy import Proxy
from tests.faults.world import World
from tests.node.keeping import fill
from tests.server.running import until

pytestmark = pytest.mark.faults
READERS = 1000
VANISHING = 900


def memory(world: World, part: str) -> int:
    """Resident bytes of a part."""
    for line in Path(f"/proc/{world.parts[part].pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(part)


def descriptors(world: World, part: str) -> int:
    return len(list(Path(f"/proc/{world.parts[part].pid}/fd").iterdir()))


async def tasks(world: World) -> int:
    """How many asyncio tasks the server has."""
    figures = str(await world.ok("GET", "/metrics"))
    return next(
        int(float(line.split()[1])) for line in figures.splitlines() if line.startswith("qarax_tasks ")
    )


def log_of(world: World, vm_id: str) -> Path:
    return world.state.runtime / f"{vm_id}.console.log"


async def test_f12_the_consoles_disk_is_full(small: World, scenario: Scenario) -> None:
    world = small
    async with scenario(world, "F12", "endless flood into 8 MiB") as row:
        quiet = await world.run_vm()
        ballast = world.state.runtime / "ballast"
        ballast.write_bytes(bytes(4 << 20))
        loud = await world.run_vm(boot_source_id=await world.boot_source("flood=0"))
        world.watch_guests()
        await until(lambda: _full(world), 60)
        fill(world.state.runtime / "rest")
        assert (await world.ok("GET", f"/vms/{quiet}"))["status"] == "running"
        assert (await world.ok("GET", f"/vms/{loud}"))["status"] == "running"
        size = log_of(world, loud).stat().st_size
        ballast.unlink()
        (world.state.runtime / "rest").unlink()
        began = time.monotonic()
        await until(lambda: _grew(world, loud, size), 30)
        row.repair = time.monotonic() - began
        index = world.state.runtime / f"{loud}.console.index"
        await until(lambda: _in(index, '"gap"'), 30)
        await world.ok("POST", f"/vms/{loud}/stop?grace=0")
        world.expect_ended(loud)
        row.outcome = "guests and node go on, the gap is marked, writing resumed"


async def _full(world: World) -> bool:
    numbers = os.statvfs(world.state.runtime)
    return bool(numbers.f_bavail == 0)


async def _grew(world: World, vm_id: str, size: int) -> bool:
    return log_of(world, vm_id).stat().st_size > size


async def _in(path: Path, word: str) -> bool:
    return word in path.read_text()


@pytest.mark.parametrize("how", ["renamed", "truncated", "deleted"])
async def test_f22_the_log_is_tampered_with(world: World, scenario: Scenario, how: str) -> None:
    async with scenario(world, "F22", f"console log {how} while followed") as row:
        vm_id = await world.run_vm(boot_source_id=await world.boot_source("flood=500"))
        world.watch_guests()
        path = log_of(world, vm_id)
        async with Follower(world, vm_id) as console:
            await until(lambda: console.has_all_of(vm_id), 20)
            if how == "renamed":
                path.rename(path.with_suffix(".elsewhere"))
            elif how == "truncated":
                path.write_bytes(b"")
            else:
                path.unlink()
            end = console.end
            await world.ok("POST", f"/vms/{vm_id}/reboot")
            await until(lambda: _passed(console, end + 1000), 30)
            await until(lambda: _marked(console), 10)
        assert console.backwards == 0
        path.with_suffix(".elsewhere").unlink(missing_ok=True)
        row.outcome = f"goes on; told: {told_losses(console)[0]}"


async def _passed(console: Follower, end: int) -> bool:
    return console.end >= end


def told_losses(console: Follower) -> list[str]:
    """What a reader was told of bytes that are gone."""
    lost = [each["text"] for each in console.marks if each["kind"] in {"gap", "lost"}]
    return [each["reason"] for each in console.gaps] + lost


async def _marked(console: Follower) -> bool:
    return bool(told_losses(console))


async def test_f23_readers_that_vanish(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F23", f"{READERS} readers, {VANISHING} vanish without closing") as row:
        vm_id = await world.run_vm()
        world.watch_guests()
        proxy = Proxy(world.server_port)
        await proxy.heal()
        await world.ok("GET", "/vms")
        baseline = {part: descriptors(world, part) for part in ("server", "node")}
        tasks_before = await tasks(world)
        async with contextlib.AsyncExitStack() as readers:
            for number in range(READERS):
                port = proxy.port if number < VANISHING else world.server_port
                await readers.enter_async_context(reading(world, vm_id, port))
            held = descriptors(world, "server")
            assert await tasks(world) >= tasks_before + READERS
            proxy.swallow()
            began = time.monotonic()
            await until(lambda: _at_most(world, baseline["server"] + READERS - VANISHING + 20), 60 * 1.5)
            row.repair = time.monotonic() - began
            assert (await world.ok("GET", f"/vms/{vm_id}"))["status"] == "running"
            await proxy.close()
        await until(lambda: _at_most(world, baseline["server"] + 20), 60)
        await until(lambda: _node_at_most(world, baseline["node"] + 10), 60)
        await until(lambda: _tasks_at_most(world, tasks_before + 10), 60)
        row.outcome = (
            f"{held} descriptors, back to {descriptors(world, 'server')} of {baseline['server']}, "
            f"{await tasks(world)} tasks of {tasks_before}"
        )


@contextlib.asynccontextmanager
async def reading(world: World, vm_id: str, port: int) -> Any:
    """A reader that answers pings for as long as it is there."""
    url = f"http://127.0.0.1:{port}/vms/{vm_id}/console?tail=1&follow=true"
    socket = await world.session.ws_connect(url)
    task = asyncio.create_task(_read(socket))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        socket._response.close()


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for message in socket:
        if message.type == aiohttp.WSMsgType.TEXT:
            json.loads(message.data)


async def _node_at_most(world: World, count: int) -> bool:
    return descriptors(world, "node") <= count


async def _tasks_at_most(world: World, count: int) -> bool:
    return await tasks(world) <= count


async def _at_most(world: World, count: int) -> bool:
    return descriptors(world, "server") <= count
