"""VMMs that die, hang or are refused, guests that power off, reboot and panic: F13 to F16."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import pytest

from tests.faults.conftest import Scenario
from tests.faults.invariants import NETWORK, has_tap
from tests.faults.world import BZIMAGE, World
from tests.server.running import patience, until

long_form = pytest.mark.faults


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(each, marks=long_form) for each in (signal.SIGSEGV, signal.SIGABRT))],
)
async def test_f13_the_vmm_dies(world: World, scenario: Scenario, number: signal.Signals) -> None:
    async with scenario(world, "F13", f"{number.name} of one of 3 VMMs") as row:
        vm_id, *_ = await world.run_vms(3, networks=[NETWORK])
        world.watch_guests()
        world.expect_ended(vm_id)
        (pid, _), *_ = world.vmms()[vm_id]
        assert has_tap(vm_id)
        began = time.monotonic()
        os.kill(pid, number)
        vm = await world.vm_is(vm_id, "shutdown")
        row.downtime = time.monotonic() - began
        assert row.downtime <= 1 * 5 * patience()
        assert vm["status_reason"], vm
        assert number.name in vm["status_reason"] or str(int(number)) in vm["status_reason"], vm
        assert not list((world.state.runtime / vm_id).glob("*.sock"))
        assert not has_tap(vm_id)
        assert (await world.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"
        row.outcome = f"says: {vm['status_reason']}"


@long_form
@pytest.mark.parametrize(
    ("knobs", "status", "word"),
    [
        (("poweroff-after=1",), "shutdown", "guest"),
        (("reboot-after=1",), "running", "reboot"),
        (("panic-after=1",), "running", "panicked"),
    ],
)
async def test_f14_what_the_guest_does_by_itself(
    world: World, scenario: Scenario, knobs: tuple[str, ...], status: str, word: str
) -> None:
    async with scenario(world, "F14", knobs[0]) as row:
        vm_id = await world.run_vm(boot_source_id=await world.boot_source(*knobs))
        if status == "running":
            world.watch_guests()
            await until(lambda: _told(world, vm_id, word), 20)
        vm = await world.vm_is(vm_id, status)
        assert status == "running" or word in (vm["status_reason"] or ""), vm
        events = await world.ok("GET", f"/events?subject_id={vm_id}")
        starts = [each for each in events if each["action"] == "start"]
        assert len({each["request_id"] for each in starts}) == 1, "a silent restart"
        row.outcome = f"{vm['status']}: {vm['status_reason'] or 'as before'}"


async def _told(world: World, vm_id: str, word: str) -> bool:
    """Whether an event, or a mark on the console, tells what the guest did."""
    events = await world.ok("GET", f"/events?subject_id={vm_id}")
    index = (world.state.runtime / f"{vm_id}.console.index").read_text()
    return any(word in json.dumps(event) for event in events) or f'"{word}"' in index


@long_form
async def test_f15_a_vmm_that_hangs(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F15", "SIGSTOP of one of 3 VMMs") as row:
        hung, well, _ = await world.run_vms(3, stop_grace_seconds=1)
        world.watch_guests()
        world.expect_ended(hung)
        (pid, _), *_ = world.vmms()[hung]
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        paused, *others = await asyncio.gather(
            world.request("POST", f"/vms/{hung}/pause"),
            world.request("POST", f"/vms/{well}/pause"),
            world.request("POST", "/vms", world.new_vm()),
        )
        assert [answer.status for answer in others] == [200, 201]
        assert max(answer.seconds for answer in others) < 3 * patience()
        assert paused.status in {503, 504}, paused
        assert paused.seconds < 15 * patience()
        await world.ok("POST", f"/vms/{well}/resume")

        async def stopped() -> bool:
            return (await world.request("POST", f"/vms/{hung}/stop")).status == 200

        await until(stopped, 40)
        row.downtime = time.monotonic() - began
        vm = await world.vm_is(hung, "shutdown")
        assert (await world.ok("POST", f"/vms/{hung}/start"))["status"] == "running"
        row.outcome = f"pause {paused.status} after {paused.seconds:.1f} s, stop: {vm['status_reason']}"


async def test_f16_half_made(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F16", "a kernel that is none, at vm.boot") as row:
        (world.state.images / "broken").write_bytes(b"\x7fELF" + bytes(4096))
        vm_id = await world.create(boot_source_id=await world.boot_source(kernel="broken"))
        row.outcome = await refused(world, vm_id, "PVH")
        assert world.vmms() == {}


async def refused(world: World, vm_id: str, words: str) -> str:
    """Start a VM that cannot be started: 422 with these words, and all is as before; returns the sentence."""
    before = await world.ok("GET", f"/vms/{vm_id}")
    answer = await world.request("POST", f"/vms/{vm_id}/start")
    assert answer.status == 422, answer
    assert words in answer.body["message"], answer
    after = await world.ok("GET", f"/vms/{vm_id}")
    assert (after["status"], after["operation"]) == (before["status"], None)
    assert vm_id not in world.vmms()
    return str(answer.body["message"])


@long_form
async def test_f16_a_kernel_that_is_gone(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F16", "the kernel was removed") as row:
        (world.state.images / "fleeting").write_bytes(BZIMAGE)
        vm_id = await world.create(boot_source_id=await world.boot_source(kernel="fleeting"))
        (world.state.images / "fleeting").unlink()
        row.outcome = await refused(world, vm_id, "fleeting")


@long_form
async def test_f16_a_locked_disk(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F16", "the disk is another VM's, at vm.boot") as row:
        source = await world.boot_source()
        path = world.state.images / "disk.raw"
        path.write_bytes(bytes(1 << 20))
        pool = next(each for each in await world.ok("GET", "/storage-pools") if each["name"] == "images")
        new = {"name": "disk", "storage_pool_id": pool["id"], "object_type": "disk", "size_bytes": 1 << 20}
        disk = await world.ok("POST", "/storage-objects", {**new, "config": {"path": str(path)}})
        disks = [{"storage_object_id": disk, "image_type": "raw"}]
        holder, other = [await world.create(boot_source_id=source, disks=disks) for _ in range(2)]
        await world.ok("POST", f"/vms/{holder}/start")
        world.watch_guests()
        row.outcome = await refused(world, other, "lock")
        await world.ok("POST", f"/vms/{holder}/stop?grace=0")
        world.expect_ended(holder)
        assert (await world.ok("POST", f"/vms/{other}/start"))["status"] == "running"


@long_form
async def test_f16_vm_create_refused(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F16", "vm.create refused") as row:
        vm_id = await world.create()
        await world.kill("keeper")
        await world.start("keeper", CLOUD_HYPERVISOR_STAND_IN="refuse=vm.create")
        await until(lambda: _well(world), 20)
        row.outcome = await refused(world, vm_id, "told to refuse vm.create")
        await world.kill("keeper")
        await world.start("keeper")
        await until(lambda: _well(world), 20)
        assert (await world.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"


async def _well(world: World) -> bool:
    """Whether the node has its keeper again."""
    host = (await world.everything("/hosts"))[0]
    return host["status"] == "up" and not host["status_reason"]
