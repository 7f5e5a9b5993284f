"""What of a spec QEMU cannot honour, refused by field before anything starts.

Whether files, taps and memory are there is checked once for every driver, in `machines/preflight.py`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from qarax_node.drivers.base import DriverError
from qarax_node.drivers.qemu.devices import RING_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qarax_node.drivers.base import MachineSpec, NetworkSpec
    from qarax_node.drivers.qemu.probe import Installation

INTERFACES = Path("/sys/class/net")
# QEMU rounds a size up to this, and then refuses a backend of another size.
MEMORY_STEP = 8192
LONGEST_INTERFACE_NAME = 15


def check(spec: MachineSpec, installed: Installation) -> None:
    """Raise DriverError for the first thing that QEMU cannot do."""
    if installed.fault:
        raise DriverError(installed.fault, code="driver_unusable", kind="unavailable")
    for field, sentence in _objections(spec):
        raise DriverError(f"the qemu driver {sentence}", code="not_supported", field=field)


def check_taps(spec: MachineSpec) -> None:
    """QEMU would make a tap that is missing, with nobody to take it down again."""
    for number, network in enumerate(spec.networks):
        if network.tap and not (INTERFACES / network.tap / "tun_flags").exists():
            raise DriverError(
                f"there is no tap interface {network.tap} on this host: make it (ip tuntap add "
                f"{network.tap} mode tap), or name none and the node makes one",
                code="tap_missing",
                field=f"networks.{number}.tap",
            )


def _objections(spec: MachineSpec) -> Iterator[tuple[str, str]]:
    """Field and what the driver cannot do about it."""
    if spec.kvm_hyperv:
        yield "kvm_hyperv", "does not offer Hyper-V enlightenments; leave kvm_hyperv out"
    yield from _memory_objections(spec)
    if spec.cpu_topology is not None and math.prod(spec.cpu_topology.values()) != spec.max_vcpus:
        yield "cpu_topology", f"needs a cpu_topology whose product is max_vcpus, {spec.max_vcpus}"
    for number, disk in enumerate(spec.disks):
        if disk.image_type not in {"raw", "qcow2"}:
            yield f"disks.{number}.image_type", f"reads raw and qcow2, not {disk.image_type!r}"
    for number, network in enumerate(spec.networks):
        yield from ((f"networks.{number}.{name}", why) for name, why in _network_objections(network))


def _memory_objections(spec: MachineSpec) -> Iterator[tuple[str, str]]:
    if spec.memory_hotplug_size:
        yield "memory_hotplug_size", "cannot hot-plug memory on microvm; leave memory_hotplug_size out"
    if spec.memory_hugepage_size is not None and not spec.memory_hugepages:
        yield "memory_hugepage_size", "takes a huge page size only with memory_hugepages"
    if spec.memory_mergeable and spec.memory_shared:
        yield "memory_mergeable", "cannot merge pages of shared memory: choose one"
    if not spec.memory_thp:
        yield "memory_thp", "cannot turn transparent huge pages off for one VM; leave memory_thp true"
    if spec.memory_size % MEMORY_STEP:
        yield "memory_size", f"needs a memory_size that is a multiple of {MEMORY_STEP} bytes"


def _network_objections(network: NetworkSpec) -> Iterator[tuple[str, str]]:
    if network.interface_type not in {"tap", "macvtap"}:
        yield "interface_type", f"offers tap and macvtap, not {network.interface_type}"
    if network.rate_limiter:
        yield "rate_limiter", "has no rate limiter for virtio-net; shape the tap on the host (tc) instead"
    if network.iommu:
        yield "iommu", "has no virtual IOMMU on microvm; leave iommu out"
    if network.pci_segment:
        yield "pci_segment", "has no PCI segments on microvm; leave pci_segment out"
    if network.queue_size not in {None, RING_SIZE}:
        yield "queue_size", f"has queues of {RING_SIZE} entries only; leave queue_size out"
    if network.num_queues is not None and (network.num_queues < 2 or network.num_queues % 2):  # noqa: PLR2004
        yield "num_queues", "needs an even num_queues: a pair is one to receive and one to send"
    if len(network.tap) > LONGEST_INTERFACE_NAME or "/" in network.tap:
        yield "tap", f"cannot take {network.tap!r} as the name of an interface"
