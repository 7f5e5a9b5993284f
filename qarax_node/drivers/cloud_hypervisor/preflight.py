"""What of a spec Cloud Hypervisor would refuse only at boot, refused by field before anything starts.

v53.0's own rules between fields, plus what landlock would break later. Whether files, taps and memory are
there is checked once for every driver, in `machines/preflight.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qarax_node.drivers.base import DriverError
from qarax_node.drivers.cloud_hypervisor.client import LARGEST_BODY, encode
from qarax_node.drivers.cloud_hypervisor.spec import IMAGE_TYPES, QUEUES_PER_PAIR, vm_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qarax_node.drivers.base import MachineSpec, NetworkSpec
    from qarax_node.drivers.cloud_hypervisor.probe import Installation

    Objections = Iterator[tuple[str, str]]

PAGE = 4096
HUGE_PAGE = 2 << 20
DIMM = 128 << 20
MOST_VCPUS = 8192  # of this release; what the host's KVM takes is refused at the start
MOST_THREADS = 2
MOST_SEGMENTS = 96
MOST_QUEUE_SIZE = 32768
SMALLEST_MTU = 1280
LONGEST_SOCKET = 107
LONGEST_INTERFACE_NAME = 15
LANDLOCK_SHUTS_OUT = (
    "is confined by --landlock on this host, and a vhost_user backend that makes its socket anew would be "
    "shut out at the guest's next reboot: use tap or macvtap, or start the node without --landlock"
)
TOPOLOGY = ("threads_per_core", "cores_per_die", "dies_per_package", "packages")


def check(spec: MachineSpec, installation: Installation, *, landlock: bool) -> None:
    """Raise DriverError for the first thing that Cloud Hypervisor on this host cannot do."""
    facts = installation.facts()
    if not facts.usable:
        raise DriverError(
            f"Cloud Hypervisor cannot be used here: {facts.reason}",
            code="driver_unusable",
            kind="unavailable",
        )
    for field, sentence in _objections(spec, landlock=landlock):
        raise DriverError(f"the cloud_hypervisor driver {sentence}", code="not_supported", field=field)
    length = len(encode("PUT", "vm.create", vm_config(spec, landlock=landlock)))
    if length > LARGEST_BODY:
        raise DriverError(
            f"the VM's description is {length} bytes long, Cloud Hypervisor takes {LARGEST_BODY}: "
            "shorten the kernel command line or attach less",
            code="spec_too_large",
            field="boot_source_id",
        )


def _objections(spec: MachineSpec, *, landlock: bool) -> Objections:
    """Field and what the driver says about it."""
    yield from _cpus(spec)
    yield from _memory(spec)
    yield from _ids(spec)
    for place, disk in enumerate(spec.disks):
        if disk.image_type not in IMAGE_TYPES:
            yield f"disks.{place}.image_type", f"reads raw and qcow2, not {disk.image_type!r}"
    for place, network in enumerate(spec.networks):
        found = [*_network(spec, network), *_segments(network)]
        if network.interface_type == "vhost_user":
            found += _vhost_user(spec, network, landlock=landlock)
        for name, sentence in found:
            yield f"networks.{place}.{name}", sentence


def _cpus(spec: MachineSpec) -> Objections:
    if not 1 <= spec.boot_vcpus <= spec.max_vcpus:
        yield "max_vcpus", f"needs boot_vcpus ({spec.boot_vcpus}) of at least 1 and at most max_vcpus"
    if spec.max_vcpus > MOST_VCPUS:
        yield "max_vcpus", f"runs at most {MOST_VCPUS} vCPUs, not {spec.max_vcpus}"
    topology = spec.cpu_topology
    if topology is None:
        return
    parts = [topology.get(part, 0) for part in TOPOLOGY]
    if set(topology) != set(TOPOLOGY) or min(parts) < 1:
        yield "cpu_topology", f"needs all of {', '.join(TOPOLOGY)}, each at least 1"
    elif math.prod(parts) != spec.max_vcpus:
        yield "cpu_topology", f"needs a cpu_topology whose product is max_vcpus, {spec.max_vcpus}"
    elif parts[0] > MOST_THREADS:
        yield "cpu_topology", f"takes at most {MOST_THREADS} threads per core"


def _memory(spec: MachineSpec) -> Objections:
    size = spec.memory_hugepage_size
    page = (size or HUGE_PAGE) if spec.memory_hugepages else PAGE
    if size is not None and not spec.memory_hugepages:
        yield "memory_hugepage_size", "takes a huge page size only with memory_hugepages"
    elif size is not None and (size <= 0 or size & (size - 1)):
        yield "memory_hugepage_size", f"needs a huge page size that is a power of two, not {size}"
    elif spec.memory_size <= 0 or spec.memory_size % page:
        yield "memory_size", f"needs a memory_size that is a multiple of {page} bytes"
    if spec.memory_mergeable and spec.memory_shared:
        yield "memory_mergeable", "cannot merge pages of shared memory: choose one"
    if (spec.memory_hotplug_size or 0) % DIMM:
        yield "memory_hotplug_size", f"hot-plugs memory in steps of {DIMM} bytes"


def _ids(spec: MachineSpec) -> Objections:
    seen: set[str] = set()
    named = [(f"disks.{place}.id", disk.id) for place, disk in enumerate(spec.disks)]
    named += [(f"networks.{place}.id", network.id) for place, network in enumerate(spec.networks)]
    for field, name in named:
        if not name or name.startswith("_"):
            yield field, f"needs an id that does not begin with an underscore, not {name!r}"
        elif name in seen:
            yield field, f"needs ids that differ across disks and networks; {name!r} is there twice"
        seen.add(name)


def _network(spec: MachineSpec, network: NetworkSpec) -> Objections:
    if network.interface_type not in {"tap", "macvtap", "vhost_user"}:
        yield "interface_type", f"offers tap, macvtap and vhost_user, not {network.interface_type}"
    if network.mtu is not None and network.mtu < SMALLEST_MTU:
        yield "mtu", f"needs an mtu of at least {SMALLEST_MTU}, not {network.mtu}"
    if len(network.tap) > LONGEST_INTERFACE_NAME or "/" in network.tap:
        yield "tap", f"cannot take {network.tap!r} as the name of an interface"
    size = network.queue_size
    if size is not None and (not 1 <= size <= MOST_QUEUE_SIZE or size & (size - 1)):
        yield "queue_size", f"needs a queue_size that is a power of two up to {MOST_QUEUE_SIZE}, not {size}"
    yield from _queues(spec, network)
    if network.offload_csum is False and (
        network.offload_tso is not False or network.offload_ufo is not False
    ):
        yield "offload_csum", "cannot do offload_tso and offload_ufo without offload_csum: turn them off too"


def _queues(spec: MachineSpec, network: NetworkSpec) -> Objections:
    queues = network.num_queues
    if queues is None:
        return
    if queues < QUEUES_PER_PAIR or queues % QUEUES_PER_PAIR:
        yield "num_queues", "needs an even num_queues: a pair is one to receive and one to send"
    elif queues // QUEUES_PER_PAIR > spec.boot_vcpus:
        yield "num_queues", f"takes a pair of queues per vCPU, {QUEUES_PER_PAIR * spec.boot_vcpus} here"


def _segments(network: NetworkSpec) -> Objections:
    if network.pci_segment is not None and not 0 <= network.pci_segment < MOST_SEGMENTS:
        yield "pci_segment", f"has PCI segments 0 to {MOST_SEGMENTS - 1}, not {network.pci_segment}"


def _vhost_user(spec: MachineSpec, network: NetworkSpec, *, landlock: bool) -> Objections:
    if not network.vhost_socket:
        yield "vhost_socket", "needs a vhost_socket for vhost_user"
    elif len(network.vhost_socket.encode()) > LONGEST_SOCKET:
        yield "vhost_socket", f"takes a socket path of at most {LONGEST_SOCKET} bytes"
    if network.vhost_mode not in {"", "client", "server", "Client", "Server"}:
        yield "vhost_mode", f"offers client and server, not {network.vhost_mode}"
    if not (spec.memory_shared or spec.memory_hugepages):
        yield "vhost_user", "needs memory_shared or memory_hugepages for vhost_user"
    if network.rate_limiter:
        yield "rate_limiter", "cannot limit the rate of vhost_user; its backend can"
    if landlock:
        yield "interface_type", LANDLOCK_SHUTS_OUT
