"""Starting with Cloud Hypervisor: what fails is refused in its words and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from qarax_node.drivers.base import DiskSpec, NetworkSpec, Status, StopHow
from qarax_node.drivers.cloud_hypervisor import client
from qarax_node.drivers.cloud_hypervisor.driver import CloudHypervisorDriver
from qarax_node.keeper_client import KeeperClient
from tests.node.drivers.cloud_hypervisor_vms import refused, vm_with, vmms, words
from tests.node.drivers.conftest import MakeVm
from tests.node.drivers.harness import BANNER, CMDLINE, Case, Vm
from tests.node.keeping import until

LEFT = {"spec.json", "events", "vmm.log", "vmm.out"}


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    """Only this hypervisor here."""
    return cloud_hypervisor_case


async def test_a_kernel_that_does_not_load_is_refused_in_its_words(vm: Vm, runtime_dir: Path) -> None:
    good = vm.spec.kernel.read_bytes()
    vm.spec.kernel.write_bytes(b"nonsense")
    error = await refused(vm)
    assert str(error) == (
        "Cloud Hypervisor refused: The VM could not boot: Cannot load the kernel into memory: "
        "Invalid ELF magic number"
    )
    assert (error.kind, error.code) == ("invalid", "vmm_refused")
    assert vmms(runtime_dir) == []
    assert {path.name for path in vm.spec.directory.iterdir()} <= LEFT

    vm.spec.kernel.write_bytes(good)
    await vm.boot()


async def test_a_locked_disk_is_refused_and_starts_when_it_is_free(
    make_vm: MakeVm, runtime_dir: Path, tmp_path: Path
) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(8192))
    disks = (DiskSpec("root", image, readonly=False, image_type="raw"),)
    first, second = make_vm(disks=disks), make_vm(disks=disks)
    await first.boot()
    error = await refused(second)
    assert error.code == "disk_locked"
    assert f"Failed to get Write lock for disk image: {image}" in str(error)
    assert len(vmms(runtime_dir)) == 1
    await first.driver.end(first.spec)
    await first.exit()
    await second.boot()


async def test_a_lock_that_lingers_is_waited_for(make_vm: MakeVm, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(8192))
    disks = (DiskSpec("root", image, readonly=False, image_type="raw"),)
    first, second = make_vm(disks=disks), make_vm(disks=disks)
    await first.boot()
    assert first.process is not None
    starting = asyncio.create_task(second.start())
    await until((second.spec.directory / "vmm.log").exists, what="the second VMM")
    os.kill(first.process.pid, signal.SIGKILL)
    await starting
    await second.says(BANNER)


async def test_a_failed_device_is_never_booted_without(make_vm: MakeVm, tmp_path: Path) -> None:
    disk = DiskSpec("gone", tmp_path / "gone", readonly=False, image_type="raw")
    vm = make_vm(disks=(disk,))
    assert "Cannot open disk path" in str(await refused(vm))
    assert "Cannot open disk path" in str(await refused(vm))


async def test_a_vmm_that_ends_at_its_start_says_why(tmp_path: Path, case: Case) -> None:
    async with vm_with(tmp_path, case, "no-kvm") as vm:
        error = await refused(vm)
    assert str(error) == (
        "Cloud Hypervisor ended at its start: Failed to open hypervisor interface (is hypervisor interface "
        "available?): No such file or directory (os error 2)"
    )


async def test_a_vmm_that_dies_of_its_vm_says_why(make_vm: MakeVm, runtime_dir: Path) -> None:
    error = await refused(make_vm(cmdline=words("panic=vm.boot")))
    assert str(error) == (
        "Cloud Hypervisor ended at its start: VMM thread panicked: told to panic in vm.boot"
    )
    assert (error.kind, error.code) == ("unavailable", "vmm_ended")
    killed = await refused(make_vm(cmdline=words("die=vm.boot")))
    assert str(killed).startswith("Cloud Hypervisor ended at its start: it said nothing; the kernel's log")
    assert vmms(runtime_dir) == []


async def test_a_binary_that_cannot_be_executed(vm: Vm, keeper: KeeperClient, tmp_path: Path) -> None:
    binary = tmp_path / "cloud-hypervisor"
    binary.write_text("#!/bin/sh\necho cloud-hypervisor v53.0\n")
    binary.chmod(0o700)
    vm.driver = CloudHypervisorDriver(keeper, vm.note, binary=str(binary), chosen=True)
    binary.unlink()
    error = await refused(vm)
    assert error.code == "spawn_failed"


async def test_a_lost_answer_to_boot_is_looked_up(make_vm: MakeVm) -> None:
    vm = make_vm(cmdline=words("drop=vm.boot"))
    await vm.boot()
    assert (await vm.driver.observe(vm.spec)).status is Status.RUNNING


async def test_a_guest_that_is_off_before_the_start_is_over(make_vm: MakeVm) -> None:
    vm = make_vm(cmdline=f"{CMDLINE} qarax.lifetime=0")
    await vm.start()
    how, _ = await vm.driver.exit_reason(vm.spec, await vm.exit())
    assert how is StopHow.GUEST_POWEROFF


async def test_passed_descriptors_reach_the_vmm_and_outlive_reboots(make_vm: MakeVm) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        network = NetworkSpec(
            id="mac0", interface_type="macvtap", mac="52:54:00:00:00:01", macvtap_fds=(theirs.fileno(),)
        )
        vm = make_vm(networks=(network,))
        await vm.boot()
        theirs.close()
        await vm.driver.reboot(vm.spec)
        await vm.says(BANNER, times=2)
        config = (await client.Client(vm.spec.directory).get("vm.info"))["config"]["net"][0]
        assert (config["id"], config["mac"], len(config["fds"])) == ("mac0", "52:54:00:00:00:01", 1)
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        await vm.driver.end(vm.spec)
        await vm.exit()
        assert ours.recv(1) == b""


async def test_counters_come_with_the_memory(make_vm: MakeVm, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(8192))
    vm = make_vm(disks=(DiskSpec("root", image, readonly=True, image_type="raw"),))
    await vm.start()
    counters = await vm.driver.counters(vm.spec)
    assert counters["root"]["read_latency_min"] == 2**64 - 1
    assert counters["vmm"]["memory_actual_size"] == vm.spec.memory_size


async def test_no_socket_minds_how_deep_the_runtime_directory_lies(tmp_path: Path, case: Case) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    async with vm_with(deep, case, "") as vm:
        await vm.boot()
        await vm.type("echo from-the-deep")
        await vm.says(b"from-the-deep\r\n")
        await vm.driver.reboot(vm.spec)
        await vm.says(BANNER, times=2)


async def test_the_directory_and_what_the_vmm_makes_in_it_are_private(vm: Vm) -> None:
    await vm.boot()
    assert stat.S_IMODE(vm.spec.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in vm.spec.directory.iterdir()}
    assert {name for name, mode in modes.items() if mode & 0o077} == set(), modes
