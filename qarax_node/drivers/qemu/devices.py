"""The devices of a VM as QEMU arguments: memory, disks, interfaces, entropy, reset line, panic notifier.

`microvm` with virtio-mmio is the machine; `q35` with virtio-pci takes what does not fit there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qarax_node.drivers.base import DiskSpec, MachineSpec, NetworkSpec

MICROVM = "microvm"
Q35 = "q35"
# With its second I/O APIC, microvm has 24 virtio-mmio slots; the entropy device takes one.
MICROVM_SLOTS = 23
# virtio-net's rings are this long unless a vhost-user backend serves them.
RING_SIZE = 256
TSO = ("guest_tso4", "guest_tso6", "host_tso4", "host_tso6")
UFO = ("guest_ufo", "host_ufo")
CSUM = ("csum", "guest_csum")


def machine_type(spec: MachineSpec) -> str:
    """`microvm`, or `q35` when the VM has more devices or another topology than that can have."""
    crowded = len(spec.disks) + len(spec.networks) > MICROVM_SLOTS
    dies = (spec.cpu_topology or {}).get("dies_per_package", 1)
    return Q35 if crowded or dies > 1 else MICROVM


def arguments(spec: MachineSpec, first_fd: int) -> list[str]:
    """`-blockdev`, `-netdev` and `-device` arguments; macvtap descriptors count from `first_fd`."""
    bus = "pci" if machine_type(spec) == Q35 else "device"
    made = ["-device", _json(driver="pvpanic"), "-device", _json(driver=f"virtio-rng-{bus}", id="rng")]
    if bus == "device":
        # Linux told reboot=k pulses this reset line, and spends seconds waiting for it where there is none.
        made += ["-device", _json(driver="i8042")]
    for number, disk in enumerate(spec.disks):
        made += _disk(f"disk{number}", disk, bus)
    for number, network in enumerate(spec.networks):
        made += _network(f"net{number}", network, bus, first_fd)
        first_fd += len(network.macvtap_fds)
    return made


def memory_backend(spec: MachineSpec) -> str:
    """The object behind the guest's memory. A memfd where others may map it or huge pages are asked for."""
    options: dict[str, Any] = {
        "qom-type": "memory-backend-ram",
        "id": "memory",
        "size": spec.memory_size,
        "share": spec.memory_shared,
        "merge": spec.memory_mergeable,
        "prealloc": spec.memory_prefault,
    }
    if spec.memory_shared or spec.memory_hugepages:
        options["qom-type"] = "memory-backend-memfd"
        options["hugetlb"] = spec.memory_hugepages
    if spec.memory_hugepages and spec.memory_hugepage_size is not None:
        options["hugetlbsize"] = spec.memory_hugepage_size
    return _json(**options)


def queue_pairs(network: NetworkSpec) -> int:
    """NewVm counts receive and transmit queues; QEMU counts pairs."""
    return (network.num_queues or 2) // 2


def _disk(name: str, disk: DiskSpec, bus: str) -> list[str]:
    file = {"driver": "file", "filename": str(disk.path), "locking": "on", "read-only": disk.readonly}
    image = {"driver": disk.image_type, "node-name": name, "file": file, "read-only": disk.readonly}
    if disk.image_type == "qcow2":
        image["backing"] = None  # whatever its header says by then; see images.py
    return ["-blockdev", _json(**image), "-device", _json(driver=f"virtio-blk-{bus}", id=name, drive=name)]


def _network(name: str, network: NetworkSpec, bus: str, first_fd: int) -> list[str]:
    pairs = queue_pairs(network)
    backend: dict[str, Any] = {"type": "tap", "id": name}
    if network.macvtap_fds:
        numbers = [str(first_fd + offset) for offset in range(len(network.macvtap_fds))]
        backend["fd" if len(numbers) == 1 else "fds"] = ":".join(numbers)
    else:
        backend |= {"ifname": network.tap, "script": "no", "downscript": "no", "queues": pairs}
    device: dict[str, Any] = {"driver": f"virtio-net-{bus}", "id": name, "netdev": name} | _offloads(network)
    if network.mac:
        device["mac"] = network.mac
    if network.mtu is not None:
        device["host_mtu"] = network.mtu
    if pairs > 1:
        device["mq"] = True
    return ["-netdev", _json(**backend), "-device", _json(**device)]


def _offloads(network: NetworkSpec) -> dict[str, bool]:
    asked = ((network.offload_tso, TSO), (network.offload_ufo, UFO), (network.offload_csum, CSUM))
    return {feature: wanted for wanted, features in asked if wanted is not None for feature in features}


def _json(**options: Any) -> str:
    return json.dumps(options, separators=(",", ":"))
