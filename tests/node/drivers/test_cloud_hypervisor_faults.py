"""Bad days of Cloud Hypervisor: VMMs that hang or die, events and replies that get lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.drivers.base import DriverError, Status, StopHow
from tests.node.drivers.cloud_hypervisor_vms import vm_with, words
from tests.node.drivers.conftest import MakeVm
from tests.node.drivers.harness import BANNER, Case, Vm


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    """Only this hypervisor here."""
    return cloud_hypervisor_case


async def test_a_lost_answer_to_pause_is_looked_up(make_vm: MakeVm) -> None:
    lost, never = make_vm(cmdline=words("drop=vm.pause")), make_vm(cmdline=words("drop-unread=vm.pause"))
    await asyncio.gather(lost.start(), never.start())
    await lost.driver.pause(lost.spec)
    assert (await lost.driver.observe(lost.spec)).status is Status.PAUSED
    with pytest.raises(DriverError) as caught:
        await never.driver.pause(never.spec)
    assert caught.value.kind == "timeout"


async def test_a_lost_answer_to_reboot_is_looked_up(make_vm: MakeVm) -> None:
    lost, never = make_vm(cmdline=words("drop=vm.reboot")), make_vm(cmdline=words("drop-unread=vm.reboot"))
    await asyncio.gather(lost.boot(), never.boot())
    await lost.driver.reboot(lost.spec)
    await lost.says(BANNER, times=2)
    assert not [note for note in lost.notes if note.guest_rebooted]
    with pytest.raises(DriverError) as caught:
        await never.driver.reboot(never.spec)
    assert caught.value.kind == "timeout"


async def test_a_stopped_vmm_costs_only_its_own_calls(make_vm: MakeVm) -> None:
    hung, well = make_vm(), make_vm()
    await asyncio.gather(hung.start(), well.start())
    assert hung.process is not None
    os.kill(hung.process.pid, signal.SIGSTOP)

    started = time.monotonic()
    seen, _, _ = await asyncio.gather(
        hung.driver.observe(hung.spec), well.driver.pause(well.spec), well.driver.observe(well.spec)
    )
    assert seen.status is Status.RUNNING
    assert "does not answer" in seen.reason
    assert time.monotonic() - started < 4
    async with asyncio.timeout(4.5):  # the server waits 5 s
        with pytest.raises(DriverError, match="did not answer"):
            await hung.driver.counters(hung.spec)
    with pytest.raises(DriverError, match="did not answer") as caught:
        await hung.driver.end(hung.spec)
    assert caught.value.kind == "timeout"
    processes.send_signal(hung.process, signal.SIGKILL)
    how, sentence = await hung.driver.exit_reason(hung.spec, await hung.exit())
    assert (how, sentence) == (StopHow.FORCED, "ended by SIGKILL")
    assert (await hung.driver.observe(hung.spec)).status is Status.SHUTDOWN


@pytest.mark.parametrize(
    ("knob", "sentence"),
    [
        ("segfault-after=0.1", "the VMM was killed by SIGSEGV (a fault in the VMM)"),
        (
            "vcpu-error-after=0.1",
            "the VMM ended by itself with exit status 0: VCPU generated error: Failed to run vCPU",
        ),
    ],
)
async def test_a_vmm_that_dies_says_how(make_vm: MakeVm, knob: str, sentence: str) -> None:
    vm = make_vm(cmdline=words(knob))
    await vm.start()
    assert await vm.driver.exit_reason(vm.spec, await vm.exit()) == (StopHow.CRASHED, sentence)


async def test_sigterm_from_outside_is_no_poweroff(vm: Vm) -> None:
    await vm.boot()
    assert vm.process is not None
    os.kill(vm.process.pid, signal.SIGTERM)
    how, sentence = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.CRASHED
    assert "SIGTERM" in sentence
    assert not [note for note in vm.notes if note.status is Status.SHUTDOWN]


async def test_a_guest_reboot_that_cannot_be_followed(vm: Vm) -> None:
    await vm.boot()
    vm.spec.kernel.unlink()
    await vm.type("reboot -f")
    how, sentence = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.CRASHED
    assert "the guest rebooted and its VMM could not follow" in sentence
    assert "Cannot open kernel file" in sentence


async def test_a_reboot_that_fails_ends_the_vmm(vm: Vm) -> None:
    await vm.boot()
    vm.spec.kernel.unlink()
    with pytest.raises(DriverError, match="Cannot open kernel file") as caught:
        await vm.driver.reboot(vm.spec)
    assert caught.value.kind == "state"
    how, sentence = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.CRASHED
    assert sentence.startswith("the reboot failed: ")


async def test_a_poweroff_whose_event_was_lost_is_seen_by_its_socket(tmp_path: Path, case: Case) -> None:
    async with vm_with(tmp_path, case, "lose-event=vm/shutdown") as vm:
        await vm.boot()
        await vm.type("poweroff -f")
        how, _ = await vm.driver.exit_reason(vm.spec, await vm.exit())
        assert how is StopHow.GUEST_POWEROFF


async def test_a_guest_that_ignores_the_power_button_goes_on(make_vm: MakeVm) -> None:
    vm = make_vm(cmdline=words("ignore-power-button"))
    await vm.boot()
    await vm.driver.power_button(vm.spec)
    await vm.driver.power_button(vm.spec)
    await vm.type("echo still-here")
    await vm.says(b"still-here\r\n")
    await vm.driver.end(vm.spec)
    assert (await vm.driver.exit_reason(vm.spec, await vm.exit()))[0] is StopHow.FORCED


async def test_a_panic_is_told_and_the_vm_stays(make_vm: MakeVm) -> None:
    vm = make_vm(cmdline="panic=0 standin.panic-after=0.1")
    await vm.start()
    await vm.notified(lambda note: note.panicked and note.status is Status.RUNNING)
    seen = await vm.driver.observe(vm.spec)
    assert (seen.status, seen.panicked, seen.reason) == (Status.RUNNING, True, "the guest's kernel panicked")
