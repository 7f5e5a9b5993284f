"""The faults that matter most, with real guests under QEMU: F2, F13, F14."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import aiohttp
import pytest

from tests.faults.conftest import Scenario
from tests.faults.console import Follower
from tests.faults.world import World
from tests.guest_image import BANNER
from tests.server.running import until

pytestmark = [pytest.mark.faults, pytest.mark.qemu]
MEMORY = 128 << 20
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
