"""The faults that matter most, with real guests under QEMU: F2, F13, F14, F15."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.conftest import Scenario
from tests.faults.console import Follower
from tests.faults.world import World
from tests.guest_image import BANNER
from tests.server.running import until

pytestmark = [pytest.mark.faults, pytest.mark.qemu]
MEMORY = 128 << 20
LITTLE = 8 << 20
MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")
BOOT_SECONDS = 120
GUESTS = 3


async def says(console: Follower, text: bytes) -> bool:
    return text in console.seen


async def booted(world: World) -> str:
    """A VM whose guest is up."""
    vm_id = await world.run_vm(memory_size=MEMORY)
    async with Follower(world, vm_id) as console:
        await until(lambda: says(console, BANNER), BOOT_SECONDS)
    return vm_id


async def type_line(world: World, vm_id: str, line: str) -> None:
    """Type into a console, as an operator who attaches, again when refused, and detaches."""
    await until(lambda: typed(world, vm_id, line.encode() + b"\n"), 30)


async def typed(world: World, vm_id: str, data: bytes) -> bool:
    """One attempt; False when input is refused, as while the keeper is away."""
    async with world.session.ws_connect(f"{world.url}/vms/{vm_id}/console") as socket:
        await socket.send_json({"type": "attach", "takeover": True})
        said = {"type": "error"}
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                said = json.loads(message.data)
                if said["type"] in {"input", "error"}:
                    break
        if said["type"] == "error" or not said["attached"]:
            return False
        await socket.send_bytes(data)
        await socket.send_json({"type": "detach"})
        return True


@contextlib.contextmanager
def memory_limit(pid: int, limit: int) -> Iterator[None]:
    """What this process takes from here on is charged to a memory cgroup of its own (version 1)."""
    group = MEMORY_GROUPS / f"qarax-{pid}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup of our own here: {error}")
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        group.rmdir()


async def test_f13_the_kernel_runs_out_of_memory(qemu_world: World, scenario: Scenario) -> None:
    """The kernel's own OOM killer ends a QEMU while its guest takes its memory."""
    world = qemu_world
    async with scenario(world, "F13", f"OOM killer, {LITTLE >> 20} MiB for one of 2 QEMU guests") as row:
        other = await booted(world)
        vm_id = await world.run_vm(memory_size=MEMORY)
        world.watch_guests()
        world.expect_ended(vm_id)
        (pid, _), *_ = world.vmms()[vm_id]
        with memory_limit(pid, LITTLE):
            vm = await world.vm_is(vm_id, "shutdown", BOOT_SECONDS)
            assert "SIGKILL" in vm["status_reason"], vm
            assert "memory" in vm["status_reason"], vm
        assert (await world.ok("GET", f"/vms/{other}"))["status"] == "running"
        assert (await world.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"
        row.outcome = vm["status_reason"]


async def test_f2_everything_killed_around_real_guests(qemu_world: World, scenario: Scenario) -> None:
    world = qemu_world
    async with scenario(world, "F2", f"kill -9 of all parts, {GUESTS} QEMU guests") as row:
        guests = [await booted(world) for _ in range(GUESTS)]
        world.watch_guests()
        async with Follower(world, guests[0]) as console:
            await until(lambda: says(console, BANNER), 30)
            for part in ("node", "server"):
                await world.kill(part)
            began = time.monotonic()
            for part in ("node", "server"):
                await world.start(part)
            await asyncio.gather(*(world.vm_is(vm_id, "running") for vm_id in guests))
            row.downtime = time.monotonic() - began
            await type_line(world, guests[0], "echo still $((40 + 2)) here")
            await until(lambda: says(console, b"still 42 here"), 60)
            assert console.gaps == []
            await world.kill("keeper")
            await world.start("keeper")
            await asyncio.gather(*(world.vm_is(vm_id, "running") for vm_id in guests))
            await type_line(world, guests[0], "echo and $((40 + 3)) again")
            await until(lambda: says(console, b"and 43 again"), 60)
        row.outcome = "pids unchanged; the console goes on after node, server and keeper"


async def test_f15_a_vmm_that_a_new_node_cannot_reach(qemu_world: World, scenario: Scenario) -> None:
    world = qemu_world
    async with scenario(world, "F15", "SIGSTOP of a QEMU, then the node restarted") as row:
        vm_id = await world.run_vm(memory_size=MEMORY)
        (pid, _), *_ = world.vmms()[vm_id]
        os.kill(pid, signal.SIGSTOP)
        await world.kill("node")
        began = time.monotonic()
        await world.start("node")
        unknown = await until(lambda: unreached(world, vm_id), 30)
        row.downtime = time.monotonic() - began
        assert world.vmms().keys() == {vm_id}, "alive is not absent"
        refused = await world.request("POST", f"/vms/{vm_id}/start")
        assert (refused.status, refused.code) == (409, "wrong_status")
        stopped = await world.ok("POST", f"/vms/{vm_id}/stop?grace=0")
        assert (stopped["status"], world.vmms()) == ("shutdown", {})
        assert (await world.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"
        row.outcome = f"unknown: {unknown['status_reason']}; then {stopped['status_reason']}"


async def unreached(world: World, vm_id: str) -> Any:
    """The VM, once it is unknown and says why."""
    vm = await world.ok("GET", f"/vms/{vm_id}")
    return vm if vm["status"] == "unknown" and vm["status_reason"] else None


async def test_f13_f14_real_guests_that_end(qemu_world: World, scenario: Scenario) -> None:
    world = qemu_world
    async with scenario(world, "F13, F14", "3 QEMU guests: killed, powered off, panicked") as row:
        killed, off, panicked = [await booted(world) for _ in range(3)]
        (pid, _), *_ = world.vmms()[killed]
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        vm = await world.vm_is(killed, "shutdown")
        row.downtime = time.monotonic() - began
        assert "SIGKILL" in vm["status_reason"]
        await type_line(world, off, "poweroff -f")
        assert "guest" in (await world.vm_is(off, "shutdown", 60))["status_reason"]
        await type_line(world, panicked, "echo c > /proc/sysrq-trigger")

        async def told() -> bool:
            events = await world.ok("GET", f"/events?subject_id={panicked}")
            return any("panicked" in str(event) for event in events)

        await until(told, 60)
        await world.ok("POST", f"/vms/{killed}/start")
        row.outcome = "each with its reason; the first starts again"
