"""Node and keeper are killed, the state directory is full, the host reboots: F2, F3, F18, F19."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qarax_tui.stack import processes
from tests.faults.conftest import Scenario
from tests.faults.console import Follower
from tests.faults.test_server_death import is_at, settled
from tests.faults.world import World
from tests.node.keeping import fill
from tests.server.running import until

pytestmark = pytest.mark.faults
GUESTS = 100
STAND_IN_BANNER = b"# "


async def test_f2_the_node_killed(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F2", f"kill -9 of the node, {GUESTS} guests") as row:
        flood = await world.boot_source("flood=20000")
        guests = await world.run_vms(GUESTS)
        talker = await world.run_vm(boot_source_id=flood)
        assert len(world.watch_guests()) == GUESTS + 1
        async with Follower(world, talker) as console:
            await until(lambda: console.has(1000), 30)
            await world.kill("node")
            began = time.monotonic()
            await world.start("node")
            for vm_id in guests:
                await world.vm_is(vm_id, "running")
            row.downtime = time.monotonic() - began
            await until(lambda: console.has_all_of(talker), 60)
            assert console.gaps == []
        row.outcome = f"{GUESTS + 1} pids unchanged, console exact over {len(console.seen)} bytes"


@pytest.mark.parametrize(("action", "knob"), [("start", "boot=4"), ("stop", "ignore-power-button")])
async def test_f2_the_node_killed_while_it_is_at_it(
    world: World, scenario: Scenario, action: str, knob: str
) -> None:
    """What became of a half-made start, and of a stop that nobody carries out any more."""
    async with scenario(world, "F2", f"kill -9 of the node at {action}.sent") as row:
        vm_id = await world.create(boot_source_id=await world.boot_source(knob), stop_grace_seconds=4)
        if action == "stop":
            await world.ok("POST", f"/vms/{vm_id}/start")
        asked = asyncio.create_task(world.request("POST", f"/vms/{vm_id}/{action}"))
        await until(lambda: is_at(world, vm_id, action), 20)
        await until(lambda: has_vmm(world, vm_id), 20)
        await world.kill("node")
        assert (await asked).status in {503, 504}
        began = time.monotonic()
        await world.start("node")
        (vm,) = await settled(world, 40)
        row.repair = time.monotonic() - began
        (operation,) = [
            each
            for each in await world.ok("GET", f"/operations?subject_id={vm_id}")
            if each["action"] == action
        ]
        wanted = {"start": "running", "stop": "shutdown"}[action]
        assert (vm["status"] == wanted) == (operation["status"] == "succeeded"), (vm, operation)
        assert action == "start" or vm["status"] == wanted
        row.outcome = f"{vm['status']}: {operation['status']}: {operation['reason'] or 'as asked for'}"
        assert (await world.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"


async def has_vmm(world: World, vm_id: str) -> bool:
    return vm_id in world.vmms()


async def test_f2_the_keeper_killed(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F2", "kill -9 of the keeper, 20 guests") as row:
        guests = await world.run_vms(20)
        world.watch_guests()
        await world.kill("keeper")
        unseen = world.ledger.guests[guests[0]]
        os.kill(unseen[0], signal.SIGKILL)
        world.expect_ended(guests[0])
        began = time.monotonic()
        await world.start("keeper")
        vm = await world.vm_is(guests[0], "shutdown")
        row.repair = time.monotonic() - began
        stop = vm.get("last_stop") or vm
        assert "inferred" in json.dumps(stop) or "nobody saw" in json.dumps(vm), vm
        for vm_id in guests[1:]:
            await world.vm_is(vm_id, "running")
        log = world.state.runtime / f"{guests[1]}.console.index"
        assert any(word in log.read_text() for word in ("gap", "lost"))
        await world.ok("POST", f"/vms/{guests[0]}/start")
        row.outcome = "guests live, the gap is marked, the unseen exit is called inferred"


@pytest.mark.parametrize("how", ["full", "read-only"])
async def test_f3_node_restarted_on_a_directory_it_cannot_write(
    small: World, scenario: Scenario, how: str
) -> None:
    world, runtime = small, small.state.runtime
    host_id = (await world.everything("/hosts"))[0]["id"]
    async with scenario(world, "F3", f"state directory {how}, 5 guests") as row:
        vms = await world.run_vms(5)
        world.watch_guests()
        await world.kill("node")
        if how == "full":
            fill(runtime / "ballast")
            await world.start("node")
        else:
            await start_where_nothing_can_be_written(world)
        host = await degraded(world, host_id)
        refused = [
            await world.request("POST", "/vms", world.new_vm()),
            await world.request("POST", f"/vms/{vms[0]}/pause"),
        ]
        assert all(400 <= answer.status < 600 and answer.status != 500 for answer in refused), refused
        assert refused[0].status in {422, 503, 507}, refused
        if how == "full":
            (runtime / "ballast").unlink()
        else:
            await world.kill("node")
            await world.start("node")
        began = time.monotonic()

        async def well() -> bool:
            return (await world.request("POST", "/vms", world.new_vm())).status == 201

        await until(well, 30)
        row.repair = time.monotonic() - began
        row.outcome = f"says: {host['status_reason']}"


async def start_where_nothing_can_be_written(world: World) -> None:
    """Start the node in a mount namespace of its own, where its runtime directory is read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    service = world.service("node")
    command = ["unshare", "--mount", "sh", "-c", script, str(world.state.runtime), *service.command]
    await world.launch("node", replace(service, command=command))


async def degraded(world: World, host_id: str) -> dict[str, str]:
    """Wait until the host says what is the matter with it."""

    async def reason() -> dict[str, str] | None:
        host: dict[str, str] = await world.ok("GET", f"/hosts/{host_id}")
        return host if host["status_reason"] and "cannot" in host["status_reason"] else None

    found: dict[str, str] = await until(reason, 20)
    return found


async def test_f18_host_reboot(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F18", "boot id changed, all processes gone, 10 guests") as row:
        guests = await world.run_vms(10)
        for name in ("node", "keeper"):
            await world.kill(name)
        ends(world)
        began = time.monotonic()
        world.environment["QARAX_BOOT_ID"] = "11111111-2222-4333-8444-555555555555"
        for name in ("keeper", "node"):
            await world.start(name)
        for vm_id in guests:
            vm = await world.vm_is(vm_id, "shutdown")
            assert "reboot" in json.dumps(vm), vm
        row.repair = time.monotonic() - began
        assert world.vmms() == {}
        assert (await world.ok("POST", f"/vms/{guests[0]}/start"))["status"] == "running"


def ends(world: World) -> None:
    """Kill every VMM, as a reboot does."""
    for found in world.vmms().values():
        for pid, _ in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_f19_a_reused_pid(world: World, scenario: Scenario) -> None:
    """The record of a dead VMM is made to name a living stranger, as a reused pid does."""
    async with scenario(world, "F19", "the VMM's pid belongs to a stranger") as row:
        vm_id = await world.run_vm()
        stranger = await asyncio.create_subprocess_exec("sleep", "600")
        try:
            for name in ("node", "keeper"):
                await world.kill(name)
            (pid, _), *_ = world.vmms()[vm_id]
            ends(world)
            changed = [take_over(path, pid, stranger.pid) for path in records(world, vm_id)]
            assert any(changed)
            for name in ("keeper", "node"):
                await world.start(name)
            await world.vm_is(vm_id, "shutdown")
            await world.ok("DELETE", f"/vms/{vm_id}")
            assert stranger.returncode is None
            assert processes.start_time(stranger.pid) is not None
            row.outcome = "the stranger lives"
        finally:
            stranger.kill()
            await stranger.wait()


def records(world: World, vm_id: str) -> list[Path]:
    """Where keeper and node note a VMM's pid."""
    runtime = world.state.runtime
    return [runtime / "keeper" / "processes" / f"{vm_id}.json", runtime / vm_id / "process.json"]


def take_over(path: Path, pid: int, other: int) -> bool:
    if not path.exists():
        return False
    text = path.read_text()
    path.write_text(
        text.replace(f'"pid": {pid}', f'"pid": {other}').replace(f'"pid":{pid}', f'"pid":{other}')
    )
    return path.read_text() != text
