"""Every field of a spec reaches Cloud Hypervisor or is refused by name; requests fit its API description."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qarax_node.drivers.base import DiskSpec, DriverError, MachineSpec, NetworkSpec
from qarax_node.drivers.cloud_hypervisor import preflight, spec
from qarax_node.drivers.cloud_hypervisor.probe import Installation
from tests.fakes.standin_process import StandIn
from tests.node.drivers.conftest import CLOUD_HYPERVISOR

GIB = 1 << 30
DESCRIPTION = Path(__file__).parents[2] / "fakes" / "cloud_hypervisor" / "openapi-v53.0.yaml"
USABLE = Installation(str(CLOUD_HYPERVISOR), "v53.0", chosen=True)

BASE = MachineSpec(
    vm_id="6f1c1a52-7a3e-4b0e-8d15-0f6c1f1f1f1f",
    name="fields",
    directory=Path("/nowhere"),
    boot_vcpus=2,
    max_vcpus=4,
    memory_size=GIB,
    kernel=Path("/k"),
    cmdline="console=ttyS0",
)
TAP = NetworkSpec(id="net0", interface_type="tap", tap="tap0", mac="52:54:00:00:00:01")
VHOST = NetworkSpec(id="net0", interface_type="vhost_user", vhost_socket="/v.sock", mac="52:54:00:00:00:02")
BUCKET = {"size": 1000, "refill_time": 100, "one_time_burst": 5}

TOPOLOGY = {"threads_per_core": 2, "cores_per_die": 2, "dies_per_package": 1, "packages": 1}
FIELDS: list[tuple[str, Any, str, Any]] = [
    ("vm_id", BASE.vm_id, "platform.system_uuid", BASE.vm_id),
    ("boot_vcpus", 3, "cpus.boot_vcpus", 3),
    ("max_vcpus", 8, "cpus.max_vcpus", 8),
    ("memory_size", 2 * GIB, "memory.size", 2 * GIB),
    ("kernel", Path("/other"), "payload.kernel", "/other"),
    ("cmdline", "quiet", "payload.cmdline", "quiet"),
    ("initrd", Path("/i"), "payload.initramfs", "/i"),
    ("cpu_topology", TOPOLOGY, "cpus.topology", TOPOLOGY),
    ("kvm_hyperv", True, "cpus.kvm_hyperv", True),
    ("memory_hotplug_size", GIB, "memory.hotplug_size", GIB),
    ("memory_hugepages", True, "memory.hugepages", True),
    ("memory_hugepage_size", 2 << 20, "memory.hugepage_size", 2 << 20),
    ("memory_mergeable", True, "memory.mergeable", True),
    ("memory_prefault", True, "memory.prefault", True),
    ("memory_shared", True, "memory.shared", True),
    ("memory_thp", False, "memory.thp", False),
    ("disks", (DiskSpec("d", Path("/d"), readonly=True, image_type="qcow2"),), "disks.0.id", "d"),
    ("disks", (DiskSpec("d", Path("/d"), readonly=True, image_type="qcow2"),), "disks.0.path", "/d"),
    ("disks", (DiskSpec("d", Path("/d"), readonly=True, image_type="qcow2"),), "disks.0.readonly", True),
    ("disks", (DiskSpec("d", Path("/d"), readonly=True, image_type="qcow2"),), "disks.0.image_type", "Qcow2"),
    ("networks", (TAP,), "net.0.id", "net0"),
]
NETWORK_FIELDS: list[tuple[NetworkSpec, str, Any, str, Any]] = [
    (TAP, "tap", "tap7", "tap", "tap7"),
    (TAP, "mac", "52:54:00:00:00:07", "mac", "52:54:00:00:00:07"),
    (TAP, "host_mac", "52:54:00:00:00:08", "host_mac", "52:54:00:00:00:08"),
    (TAP, "mtu", 9000, "mtu", 9000),
    (TAP, "num_queues", 4, "num_queues", 4),
    (TAP, "queue_size", 512, "queue_size", 512),
    (TAP, "iommu", True, "iommu", True),
    (TAP, "offload_tso", False, "offload_tso", False),
    (TAP, "offload_ufo", False, "offload_ufo", False),
    (TAP, "pci_segment", 1, "pci_segment", 1),
    (TAP, "rate_limiter", {"ops": BUCKET}, "rate_limiter_config.ops", BUCKET),
    (TAP, "rate_limiter", {"bandwidth": BUCKET}, "rate_limiter_config.bandwidth", BUCKET),
    (VHOST, "interface_type", "vhost_user", "vhost_user", True),
    (VHOST, "vhost_socket", "/w.sock", "vhost_socket", "/w.sock"),
    (VHOST, "vhost_mode", "server", "vhost_mode", "Server"),
]
TOGETHER = {"offload_csum"}
MADE_BY_THE_NODE = {"parent", "macvtap_fds", "ip", "mask"}
NOT_OF_THE_HYPERVISOR = {"name", "directory"}


def at(config: Any, path: str) -> Any:
    for step in path.split("."):
        config = config[int(step)] if step.isdigit() else config[step]
    return config


@pytest.fixture(scope="module")
def vmm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    made = StandIn(tmp_path_factory.mktemp("vmm") / "vm").ready()
    yield made
    made.close()


def stored(vmm: StandIn, machine: MachineSpec) -> Any:
    """The config as the hypervisor understood it."""
    (vmm.directory / "serial.sock").unlink(missing_ok=True)
    assert vmm.put("vm.create", spec.vm_config(machine)) == (204, "")
    config = vmm.info()["config"]
    assert vmm.put("vm.delete") == (204, "")
    return config


def test_the_lists_below_name_every_field() -> None:
    machine = {field.name for field in dataclasses.fields(MachineSpec)}
    assert machine == {name for name, *_ in FIELDS} | NOT_OF_THE_HYPERVISOR
    network = {field.name for field in dataclasses.fields(NetworkSpec)}
    covered = {name for _, name, *_ in NETWORK_FIELDS} | {"id"} | TOGETHER | MADE_BY_THE_NODE
    assert network == covered
    assert {field.name for field in dataclasses.fields(DiskSpec)} == {"id", "path", "readonly", "image_type"}


@pytest.mark.parametrize(("name", "value", "path", "expected"), FIELDS)
def test_a_field_reaches_the_hypervisor(
    vmm: StandIn, name: str, value: Any, path: str, expected: Any
) -> None:
    assert at(stored(vmm, dataclasses.replace(BASE, **{name: value})), path) == expected


@pytest.mark.parametrize("place", range(len(NETWORK_FIELDS)), ids=lambda place: NETWORK_FIELDS[place][3])
def test_a_network_field_reaches_the_hypervisor(vmm: StandIn, place: int) -> None:
    network, name, value, path, expected = NETWORK_FIELDS[place]
    changed = dataclasses.replace(network, **{name: value})
    assert at(stored(vmm, dataclasses.replace(BASE, networks=(changed,)))["net"][0], path) == expected


def test_fields_that_go_together_reach_the_hypervisor(vmm: StandIn) -> None:
    changed = dataclasses.replace(TAP, offload_csum=False, offload_tso=False, offload_ufo=False)
    config = stored(vmm, dataclasses.replace(BASE, networks=(changed,)))["net"][0]
    assert not config["offload_csum"]


def test_what_is_not_said_is_explicit_where_it_matters(vmm: StandIn) -> None:
    config = stored(vmm, BASE)
    assert config["console"]["mode"] == "Off"
    assert config["serial"] == {"mode": "Socket", "socket": "serial.sock"}
    assert config["pvpanic"] is True


def test_a_macvtap_is_added_with_its_descriptors() -> None:
    network = NetworkSpec(id="m", interface_type="macvtap", mac="52:54:00:00:00:09", macvtap_fds=(7, 8))
    machine = dataclasses.replace(BASE, networks=(network,))
    assert "net" not in spec.vm_config(machine)
    ((body, fds),) = spec.added_nets(machine)
    assert (body["num_queues"], body["mac"], fds) == (4, "52:54:00:00:00:09", (7, 8))


def test_landlock_lists_what_the_vm_needs(tmp_path: Path) -> None:
    machine = dataclasses.replace(BASE, directory=tmp_path, networks=(TAP,))
    config = spec.vm_config(machine, landlock=True)
    rules = {rule["path"]: rule["access"] for rule in config["landlock_rules"]}
    assert config["landlock_enable"] is True
    assert rules == {str(tmp_path): "rw", "/dev/net/tun": "rw", "/sys/class/net/tap0": "r"}
    vhost = dataclasses.replace(BASE, memory_shared=True, networks=(VHOST,))
    with pytest.raises(DriverError, match="landlock") as refused:
        preflight.check(vhost, USABLE, landlock=True)
    assert refused.value.field == "networks.0.interface_type"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"boot_vcpus": 5}, "max_vcpus"),
    ({"max_vcpus": 8193}, "max_vcpus"),
    ({"cpu_topology": {**TOPOLOGY, "packages": 2}}, "cpu_topology"),
    ({"cpu_topology": {"packages": 4}}, "cpu_topology"),
    (
        {"max_vcpus": 4, "cpu_topology": {**TOPOLOGY, "threads_per_core": 4, "cores_per_die": 1}},
        "cpu_topology",
    ),
    ({"memory_size": 1000}, "memory_size"),
    ({"memory_hugepage_size": 2 << 20}, "memory_hugepage_size"),
    ({"memory_hugepages": True, "memory_hugepage_size": 3 << 20}, "memory_hugepage_size"),
    ({"memory_hugepages": True, "memory_size": GIB + 4096}, "memory_size"),
    ({"memory_mergeable": True, "memory_shared": True}, "memory_mergeable"),
    ({"memory_hotplug_size": 1 << 20}, "memory_hotplug_size"),
    ({"disks": (DiskSpec("d", Path("/d"), readonly=False, image_type="vmdk"),)}, "disks.0.image_type"),
    ({"disks": (DiskSpec("__d", Path("/d"), readonly=False, image_type="raw"),)}, "disks.0.id"),
    ({"networks": (TAP, TAP)}, "networks.1.id"),
    ({"cmdline": "x" * 60000}, "boot_source_id"),
]
NETWORK_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"interface_type": "bridge"}, "interface_type"),
    ({"mtu": 1000}, "mtu"),
    ({"tap": "a-name-that-is-too-long"}, "tap"),
    ({"queue_size": 100}, "queue_size"),
    ({"num_queues": 3}, "num_queues"),
    ({"num_queues": 6}, "num_queues"),
    ({"offload_csum": False}, "offload_csum"),
    ({"pci_segment": 96}, "pci_segment"),
    ({"interface_type": "vhost_user"}, "vhost_socket"),
    ({"interface_type": "vhost_user", "vhost_socket": "/s", "vhost_mode": "both"}, "vhost_mode"),
    ({"interface_type": "vhost_user", "vhost_socket": "/" * 108}, "vhost_socket"),
    ({"interface_type": "vhost_user", "vhost_socket": "/s"}, "vhost_user"),
]


@pytest.mark.parametrize(("changes", "field"), REFUSED)
def test_what_the_hypervisor_would_refuse_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(DriverError) as refused:
        preflight.check(dataclasses.replace(BASE, **changes), USABLE, landlock=False)
    assert refused.value.field == field
    assert refused.value.kind == "invalid"


@pytest.mark.parametrize(("changes", "field"), NETWORK_REFUSED)
def test_a_network_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    machine = dataclasses.replace(BASE, networks=(dataclasses.replace(TAP, **changes),))
    with pytest.raises(DriverError) as refused:
        preflight.check(machine, USABLE, landlock=False)
    assert refused.value.field == f"networks.0.{field}"


def test_a_sound_spec_passes() -> None:
    preflight.check(dataclasses.replace(BASE, networks=(TAP,)), USABLE, landlock=False)
