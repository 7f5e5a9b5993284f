"""VMMs of Cloud Hypervisor that outlived their node, or their keeper."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from qarax_node.drivers.base import Status, StopHow
from qarax_node.drivers.cloud_hypervisor import client, process, reasons, spec
from qarax_node.keeper_client import KeeperClient
from tests.node.drivers.cloud_hypervisor_vms import started_as, words
from tests.node.drivers.conftest import CLOUD_HYPERVISOR, MakeVm
from tests.node.drivers.harness import BANNER, Case, Vm
from tests.node.keeping import KeeperProcess, until


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    """Only this hypervisor here."""
    return cloud_hypervisor_case


async def test_what_happened_while_no_node_was_there(make_vm: MakeVm) -> None:
    off, rebooted = make_vm(), make_vm()
    await asyncio.gather(off.boot(), rebooted.boot())
    for vm in (off, rebooted):
        await vm.driver.close()
    await off.type("poweroff -f")
    await rebooted.type("reboot -f")
    await rebooted.says(BANNER, times=2)
    assert off.process is not None
    assert rebooted.process is not None
    await until(lambda: "reboot: Power down" in off.console().decode(), what="the poweroff")

    successors = [Vm(vm.case, vm.keeper, vm.spec) for vm in (off, rebooted)]
    try:
        for vm, successor in zip((off, rebooted), successors, strict=True):
            successor.process = vm.process
            assert vm.process is not None
            await successor.driver.adopt(vm.spec, vm.process)
        how, _ = await successors[0].driver.exit_reason(off.spec, await successors[0].exit())
        assert how is StopHow.GUEST_POWEROFF
        seen = await successors[1].driver.observe(rebooted.spec)
        assert seen.status is Status.RUNNING
        await successors[1].type("echo adopted")
        await successors[1].says(b"adopted\r\n")
    finally:
        for successor in successors:
            await successor.close()


@pytest.mark.parametrize(("pressed", "how"), [(False, StopHow.GUEST_POWEROFF), (True, StopHow.OBEYED)])
async def test_whoever_ends_the_vmm_of_a_guest_that_is_off_is_not_why(
    vm: Vm, pressed: bool, how: StopHow
) -> None:
    """The node ends what it adopts as off, before or after this driver does so by itself."""
    await vm.boot()
    await vm.driver.close()
    if pressed:
        reasons.note(vm.spec.directory, reasons.PRESSED)
    await vm.type("poweroff -f")
    await until(lambda: '"shutdown"' in (vm.spec.directory / "events").read_text(), what="the poweroff")
    successor = Vm(vm.case, vm.keeper, vm.spec)
    successor.process = started_as(vm)
    try:
        seen = await successor.driver.adopt(vm.spec, started_as(vm))
        assert (seen.status, seen.reason) == (Status.SHUTDOWN, "the guest powered off")
        await successor.driver.end(vm.spec)
        assert (await successor.driver.exit_reason(vm.spec, await successor.exit()))[0] is how
    finally:
        await successor.close()


async def test_a_start_that_was_cut_short_is_adopted_as_shut_down_and_ended(
    vm: Vm, keeper: KeeperClient
) -> None:
    vm.process = await process.spawn(str(CLOUD_HYPERVISOR), vm.spec, keeper)
    api = client.Client(vm.spec.directory)
    await process.wait_ready(vm.process, api, vm.spec.directory)
    seen = await vm.driver.adopt(vm.spec, vm.process)
    assert (seen.status, seen.reason) == (Status.SHUTDOWN, "its start was cut short: its VMM holds no VM")
    await api.put("vm.create", spec.vm_config(vm.spec))
    seen = await vm.driver.observe(vm.spec)
    assert (seen.status, seen.reason) == (Status.SHUTDOWN, "its start was cut short")
    await vm.driver.end(vm.spec)
    assert (await vm.driver.exit_reason(vm.spec, await vm.exit()))[0] is StopHow.FORCED


async def test_a_hung_vmm_is_adopted_as_what_it_was(make_vm: MakeVm) -> None:
    vm = make_vm()
    await vm.boot()
    await vm.driver.pause(vm.spec)
    await vm.driver.close()
    assert vm.process is not None
    os.kill(vm.process.pid, signal.SIGSTOP)
    successor = Vm(vm.case, vm.keeper, vm.spec)
    try:
        seen = await successor.driver.adopt(vm.spec, vm.process)
        assert seen.status is Status.PAUSED
        assert "does not answer" in seen.reason
    finally:
        await successor.close()


async def test_many_are_adopted_at_once(make_vm: MakeVm, case: Case, keeper: KeeperClient) -> None:
    vms = [make_vm(cmdline=words("quiet")) for _ in range(20)]
    await asyncio.gather(*(vm.start() for vm in vms))
    for vm in vms:
        await vm.driver.close()
    driver = case.make(keeper, lambda _vm_id, _seen: None)
    try:
        started = time.monotonic()
        seen = await asyncio.gather(*(driver.adopt(vm.spec, started_as(vm)) for vm in vms))
        assert time.monotonic() - started < 20, "a second or so where nothing else runs"
        assert {observation.status for observation in seen} == {Status.RUNNING}
    finally:
        await driver.close()


async def test_a_console_whose_thread_ended_comes_back_with_the_next_reboot(
    make_vm: MakeVm, keeper_process: KeeperProcess
) -> None:
    """`kill -9` of the keeper with unread output ends the serial thread; only a reboot brings it back."""
    vm = make_vm(cmdline=words("flood=0"))
    await vm.start()
    await vm.says(b"flood 000000100")
    os.kill(keeper_process.pid, signal.SIGSTOP)
    await asyncio.sleep(0.1)  # the socket fills up: nothing tells when
    keeper_process.kill()
    keeper_process.start()
    await until(lambda: vm.keeper.connected, what="the keeper's return")
    end = len(vm.console())
    await asyncio.sleep(0.3)  # that nothing comes can only be waited for
    assert len(vm.console()) == end
    await vm.driver.reboot(vm.spec)
    await until(lambda: BANNER in vm.console()[end:], what="the console after the reboot")
    assert (await vm.driver.observe(vm.spec)).status is Status.RUNNING
