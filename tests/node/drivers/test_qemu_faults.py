"""QEMU on bad days: refused arguments, a process that hangs, a full disk, events that nobody heard."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.drivers.base import DiskSpec, DriverError, Status, StopHow
from qarax_node.drivers.qemu import process, spec
from qarax_node.drivers.qemu.driver import QemuDriver
from qarax_node.drivers.qemu.probe import probe
from tests.node.drivers.conftest import MakeVm
from tests.node.drivers.harness import BANNER, MIB, Case, Vm
from tests.node.keeping import KeeperProcess, until, until_async

pytestmark = pytest.mark.qemu


@pytest.fixture
def case(qemu_case: Case) -> Case:
    return qemu_case


async def test_a_kernel_that_is_none_is_refused_in_qemus_words_and_leaves_no_process(
    make_vm: MakeVm, tmp_path: Path
) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"\x7fELF" + bytes(5000))
    vm = make_vm(kernel=kernel)
    with pytest.raises(DriverError, match=r"QEMU refused to start: .*kernel") as refused:
        await vm.start()
    assert (refused.value.code, refused.value.kind) == ("vmm_refused", "invalid")
    assert [entry for entry in await vm.keeper.entries() if entry.running] == []
    assert list(vm.spec.directory.glob("*.sock")) == []


async def test_a_qemu_that_hangs_costs_only_its_own_vm_the_deadline_and_is_noticed_when_it_wakes(
    make_vm: MakeVm,
) -> None:
    hung, well = make_vm(), make_vm()
    driver = hung.driver = well.driver = QemuDriver(hung.keeper, hung.note, answer_seconds=1)
    await asyncio.gather(hung.start(), well.start())
    assert hung.process is not None
    os.kill(hung.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    answers = await asyncio.gather(
        *(driver.observe(hung.spec) for _ in range(3)),
        driver.pause(hung.spec),
        driver.observe(well.spec),
        return_exceptions=True,
    )
    assert time.monotonic() - began < 4
    assert [answer.kind for answer in answers[:4] if isinstance(answer, DriverError)] == ["timeout"] * 4
    assert not isinstance(answers[4], BaseException)
    hung.notes.clear()
    os.kill(hung.process.pid, signal.SIGCONT)
    await hung.notified(lambda note: note.status is Status.RUNNING)
    await driver.close()


async def test_a_qemu_that_hangs_at_adoption_says_so_and_is_taken_up_when_it_wakes(make_vm: MakeVm) -> None:
    vm = make_vm()
    await vm.start()
    assert vm.process is not None
    await vm.driver.close()
    os.kill(vm.process.pid, signal.SIGSTOP)
    vm.driver = QemuDriver(vm.keeper, vm.note, answer_seconds=0.5)
    with pytest.raises(DriverError, match="did not answer"):
        await vm.driver.adopt(vm.spec, vm.process)
    vm.notes.clear()
    os.kill(vm.process.pid, signal.SIGCONT)
    await vm.notified(lambda note: note.status is Status.RUNNING)


async def test_a_poweroff_that_no_node_saw_is_found_at_adoption(make_vm: MakeVm) -> None:
    vm = make_vm()
    await vm.boot()
    assert vm.process is not None
    await vm.driver.close()
    await vm.type("poweroff -f")
    await vm.says(b"Power down")
    successor = QemuDriver(vm.keeper, vm.note)
    while (found := await successor.adopt(vm.spec, vm.process)).status is Status.RUNNING:
        await successor.close()  # it says so a moment before it is off
    assert found.status is Status.SHUTDOWN
    await successor.end(vm.spec)
    how, _ = await successor.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.GUEST_POWEROFF
    await successor.close()


async def test_a_start_that_its_node_did_not_live_to_finish_is_finished_at_adoption(make_vm: MakeVm) -> None:
    vm = make_vm()
    argv = spec.command_line(vm.spec, probe("qemu-system-x86_64"))
    vm.process = await process.spawn(vm.keeper, vm.spec, argv)
    assert (await vm.driver.adopt(vm.spec, vm.process)).status is Status.RUNNING
    await vm.says(BANNER)
    assert (await vm.driver.adopt(vm.spec, vm.process)).status is Status.RUNNING


async def test_an_end_from_outside_is_told_from_the_guests_own(make_vm: MakeVm) -> None:
    vm = make_vm()
    await vm.start()
    assert vm.process is not None
    processes.send_signal(vm.process, signal.SIGTERM)
    how, sentence = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.FORCED
    assert "terminating on signal 15" in sentence


async def test_a_guest_outlives_the_keeper_and_its_console_comes_back(
    make_vm: MakeVm, keeper_process: KeeperProcess
) -> None:
    vm = make_vm()
    await vm.boot()
    assert vm.process is not None
    keeper_process.kill()
    await until(lambda: not vm.keeper.connected)
    keeper_process.start()
    await until(lambda: vm.keeper.connected)

    async def attached() -> bool:
        return any(entry.attached for entry in await vm.keeper.entries())

    await until_async(attached)
    assert processes.is_alive(vm.process)
    await vm.type("echo still-here")
    await vm.says(b"\r\nstill-here\r\n")
    await vm.type("poweroff -f")
    how, _ = await vm.driver.exit_reason(vm.spec, await vm.guest_is_off())
    assert how is StopHow.GUEST_POWEROFF


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """Four MiB of memory mounted as a folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_guest_whose_disk_image_finds_no_room_is_paused_with_the_reason(
    make_vm: MakeVm, small_file_system: Path
) -> None:
    image = small_file_system / "sparse.raw"
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    vm = make_vm(disks=(DiskSpec("data", image, readonly=False, image_type="raw"),))
    await vm.boot()
    await vm.type("dd if=/dev/urandom of=/dev/vda bs=64k; sync")
    await vm.notified(lambda note: note.status is Status.PAUSED and "full" in note.reason)
    found = await vm.driver.observe(vm.spec)
    assert (found.status, "full" in found.reason) == (Status.PAUSED, True)


@pytest.mark.faults
async def test_guests_boot_on_a_host_that_is_busy(make_vm: MakeVm) -> None:
    """A guest that had to find out its clock by itself would hang here, one time in a few."""
    vms: list[Vm] = [make_vm() for _ in range(6)]
    await asyncio.gather(*(vm.start() for vm in vms))
    await asyncio.gather(*(vm.says(BANNER) for vm in vms))
