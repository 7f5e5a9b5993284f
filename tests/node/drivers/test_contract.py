"""What every driver does alike, on a real keeper; real guests where the hypervisor is real."""

from __future__ import annotations

import os
import signal

import pytest

from qarax_node import processes
from qarax_node.drivers.base import Status, StopHow
from qarax_node.keeper_client import KeeperClient
from tests.node.drivers.conftest import HYPERVISORS
from tests.node.drivers.harness import BANNER, Vm
from tests.node.keeping import KeeperProcess


@pytest.mark.parametrize("case", [*HYPERVISORS, "simulated"], indirect=True)
async def test_a_vm_boots_pauses_resumes_reboots_and_obeys_the_power_button(vm: Vm) -> None:
    await vm.boot()
    assert (await vm.driver.observe(vm.spec)).status is Status.RUNNING
    await vm.type("echo typed")
    await vm.says(b"echo typed\r\n")

    await vm.driver.pause(vm.spec)
    await vm.driver.pause(vm.spec)
    await vm.becomes(Status.PAUSED)
    await vm.driver.resume(vm.spec)
    await vm.driver.resume(vm.spec)
    await vm.becomes(Status.RUNNING)

    await vm.driver.reboot(vm.spec)
    await vm.says(vm.case.banner, times=2)
    assert (await vm.driver.observe(vm.spec)).status is Status.RUNNING

    await vm.driver.power_button(vm.spec)
    how, _ = await vm.driver.exit_reason(vm.spec, await vm.guest_is_off())
    assert how in {StopHow.OBEYED, StopHow.GUEST_POWEROFF}
    await vm.driver.forget(vm.spec)


async def test_a_guest_powers_itself_off(vm: Vm) -> None:
    await vm.boot()
    await vm.type("poweroff -f")
    how, _ = await vm.driver.exit_reason(vm.spec, await vm.guest_is_off())
    assert how is StopHow.GUEST_POWEROFF
    await vm.driver.forget(vm.spec)
    assert sorted(path.name for path in vm.spec.directory.glob("*.sock")) == []


async def test_a_vmm_that_is_killed_has_crashed_and_starts_again(vm: Vm) -> None:
    await vm.start()
    assert vm.process is not None
    os.kill(vm.process.pid, signal.SIGKILL)
    how, sentence = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.CRASHED
    assert "SIGKILL" in sentence

    await vm.driver.forget(vm.spec)
    await vm.boot()
    await vm.driver.end(vm.spec)
    how, _ = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.FORCED


async def test_a_vm_outlives_its_node_and_is_adopted(vm: Vm, keeper_process: KeeperProcess) -> None:
    await vm.boot()
    assert vm.process is not None
    assert vm.spec.vm_id in " ".join(processes.command_line(vm.process.pid))
    assert vm.console().count(BANNER) == 1
    await vm.close()
    await vm.keeper.close()
    seen = vm.console()

    keeper = KeeperClient(keeper_process.socket)
    await keeper.connect()
    successor = Vm(vm.case, keeper, vm.spec)
    try:
        assert (await successor.driver.adopt(vm.spec, vm.process)).status is Status.RUNNING
        successor.process = vm.process
        await successor.type("echo adopted")
        await successor.says(b"\r\nadopted\r\n")
        assert successor.console().startswith(seen)
        await successor.type("poweroff -f")
        how, _ = await successor.driver.exit_reason(vm.spec, await successor.guest_is_off())
        assert how is StopHow.GUEST_POWEROFF
    finally:
        await successor.close()
        await keeper.close()
