"""Every field of a spec reaches QEMU's command line or is refused by its name; none can carry an option."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from qarax_node.drivers.base import DiskSpec, DriverError, MachineSpec, NetworkSpec
from qarax_node.drivers.qemu import preflight
from qarax_node.drivers.qemu import spec as command
from qarax_node.drivers.qemu.probe import Installation, probe

HERE = Installation("/usr/bin/qemu-system-x86_64", "7.2.22", "tcg")
DISK = DiskSpec("root", Path("/pool/root.raw"), readonly=False, image_type="raw")
NETWORK = NetworkSpec("lan", "tap", tap="tap0")
SPEC = MachineSpec(
    vm_id="3f6c6f2e-4d2a-4f0e-9d5f-0a3b5c7d9e11",
    name="web",
    directory=Path("/vms/3f6c6f2e"),
    boot_vcpus=2,
    max_vcpus=4,
    memory_size=256 << 20,
    kernel=Path("/pool/vmlinux"),
    cmdline="console=ttyS0",
    disks=(DISK,),
    networks=(NETWORK,),
)
# The node's own part: where it runs, and the host's side of an interface.
OF_THE_NODE = {"directory", "id", "parent", "host_mac", "ip", "mask"}
REACH: dict[str, Any] = {
    "vm_id": "a9d7e7a0-9f57-4e5f-8e5d-5d5c1c1f2b3a",
    "name": "db",
    "boot_vcpus": 1,
    "max_vcpus": 8,
    "memory_size": 512 << 20,
    "kernel": Path("/pool/other"),
    "cmdline": "console=ttyS0 quiet",
    "initrd": Path("/pool/initrd"),
    "cpu_topology": {"threads_per_core": 1, "cores_per_die": 2, "dies_per_package": 2, "packages": 1},
    "memory_hugepages": True,
    "memory_mergeable": True,
    "memory_prefault": True,
    "memory_shared": True,
    "disks": (),
    "networks": (),
}
REFUSED: dict[str, Any] = {
    "kvm_hyperv": True,
    "memory_hotplug_size": 1 << 30,
    "memory_thp": False,
    "memory_hugepage_size": 2 << 20,  # without memory_hugepages
}
NETWORK_REACH: dict[str, Any] = {
    "tap": "tap1",
    "mac": "52:54:00:00:00:01",
    "mtu": 1400,
    "num_queues": 4,
    "offload_tso": False,
    "offload_ufo": False,
    "offload_csum": False,
    "macvtap_fds": (9,),
}
NETWORK_REFUSED: dict[str, Any] = {
    "interface_type": "vhost_user",
    "queue_size": 512,
    "iommu": True,
    "pci_segment": 1,
    "rate_limiter": {"bandwidth": {"size": 1, "refill_time": 1}},
}
DISK_REACH: dict[str, Any] = {"path": Path("/pool/x"), "readonly": True, "image_type": "qcow2"}


def arguments(spec: MachineSpec) -> list[str]:
    return command.command_line(spec, HERE)


@pytest.mark.parametrize("field", REACH)
def test_a_field_of_the_vm_reaches_qemu(field: str) -> None:
    changed = dataclasses.replace(SPEC, **{field: REACH[field]})
    assert arguments(changed) != arguments(SPEC)


def test_a_huge_page_size_reaches_qemu() -> None:
    asked = dataclasses.replace(SPEC, memory_hugepages=True, memory_hugepage_size=2 << 20)
    assert '"hugetlbsize":2097152' in " ".join(arguments(asked))


@pytest.mark.parametrize("field", NETWORK_REACH)
def test_a_field_of_an_interface_reaches_qemu(field: str) -> None:
    network = dataclasses.replace(NETWORK, **{field: NETWORK_REACH[field]})
    assert arguments(dataclasses.replace(SPEC, networks=(network,))) != arguments(SPEC)


@pytest.mark.parametrize("field", DISK_REACH)
def test_a_field_of_a_disk_reaches_qemu(field: str) -> None:
    disk = dataclasses.replace(DISK, **{field: DISK_REACH[field]})
    assert arguments(dataclasses.replace(SPEC, disks=(disk,))) != arguments(SPEC)


@pytest.mark.parametrize("field", REFUSED)
def test_what_qemu_cannot_do_for_a_vm_is_refused_by_name(field: str) -> None:
    preflight.check(SPEC, HERE)
    with pytest.raises(DriverError, match="qemu driver") as refused:
        preflight.check(dataclasses.replace(SPEC, **{field: REFUSED[field]}), HERE)
    assert refused.value.field == field


def test_pages_that_could_not_be_merged_are_refused_by_name() -> None:
    with pytest.raises(DriverError, match="qemu driver cannot merge") as refused:
        preflight.check(dataclasses.replace(SPEC, memory_mergeable=True, memory_shared=True), HERE)
    assert refused.value.field == "memory_mergeable"


@pytest.mark.parametrize("field", NETWORK_REFUSED)
def test_what_qemu_cannot_do_for_an_interface_is_refused_by_name(field: str) -> None:
    network = dataclasses.replace(NETWORK, **{field: NETWORK_REFUSED[field]})
    with pytest.raises(DriverError, match="qemu driver") as refused:
        preflight.check(dataclasses.replace(SPEC, networks=(network,)), HERE)
    assert refused.value.field == f"networks.0.{field}"


def test_no_field_of_a_spec_is_forgotten() -> None:
    def names(kind: type) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)} - OF_THE_NODE

    assert names(MachineSpec) == {*REACH, *REFUSED}
    vhost = {"vhost_socket", "vhost_mode"}  # refused with their interface_type
    assert names(NetworkSpec) == {*NETWORK_REACH, *NETWORK_REFUSED} | vhost
    assert names(DiskSpec) == set(DISK_REACH)


def test_names_and_paths_stay_what_they_are() -> None:
    hostile = Path("/pool/a,readonly=on,id=b c")
    spec = dataclasses.replace(
        SPEC, name="x,debug-threads=off", kernel=hostile, disks=(dataclasses.replace(DISK, path=hostile),)
    )
    words = arguments(spec)
    assert "guest=x,,debug-threads=off,debug-threads=on" in words
    assert words[words.index("-kernel") + 1] == str(hostile)
    assert json.loads(words[words.index("-blockdev") + 1])["file"]["filename"] == str(hostile)


def test_an_emulated_guest_is_told_the_clock_unless_it_knows() -> None:
    def appended(spec: MachineSpec, accelerator: str) -> str:
        words = command.command_line(spec, dataclasses.replace(HERE, accelerator=accelerator))
        return words[words.index("-append") + 1]

    assert appended(SPEC, "kvm") == SPEC.cmdline
    assert appended(SPEC, "tcg").startswith("tsc_early_khz=")
    assert appended(SPEC, "tcg").endswith(SPEC.cmdline)
    told = dataclasses.replace(SPEC, cmdline="tsc_early_khz=1 console=ttyS0")
    assert appended(told, "tcg") == told.cmdline


def test_a_host_without_qemu_says_what_to_install() -> None:
    found = probe("qemu-that-is-nowhere")
    assert "install the package qemu-system-x86" in found.fault
    with pytest.raises(DriverError, match="install the package") as refused:
        preflight.check(SPEC, found)
    assert refused.value.kind == "unavailable"


def test_a_qemu_without_seccomp_runs_without_its_sandbox(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    refusal = '[ "$1" = -sandbox ] && { echo "-sandbox support is not enabled" >&2; exit 1; }'
    program.write_text(f"#!/bin/sh\n{refusal}\necho QEMU emulator version 8.0.0\n")
    program.chmod(0o755)
    found = probe(str(program))
    assert (found.version, found.fault) == ("8.0.0", "")
    assert "-sandbox" not in command.command_line(SPEC, found)
    assert "-sandbox" in arguments(SPEC)


def test_an_older_qemu_and_a_program_that_is_none_are_refused(tmp_path: Path) -> None:
    for said, fault in (("QEMU emulator version 6.2.0", "is too old"), ("hello", "does not name a version")):
        program = tmp_path / "qemu"
        program.write_text(f"#!/bin/sh\necho {said}\n")
        program.chmod(0o755)
        assert fault in probe(str(program)).fault
