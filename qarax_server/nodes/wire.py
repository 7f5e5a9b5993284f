"""The mapping between the control plane's words and the messages of `node.proto`, both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qarax_proto import node_pb2

from qarax_server.models import Boot, DiskFile, File, Vm
from qarax_server.observed import Heartbeat, NodeEvent, NodeFacts, Observation, Removed, Snapshot

TEXTS = (
    "id",
    "interface_type",
    "tap",
    "parent",
    "mac",
    "host_mac",
    "ip",
    "mask",
    "vhost_socket",
    "vhost_mode",
)
NUMBERS = (
    "mtu",
    "num_queues",
    "queue_size",
    "offload_tso",
    "offload_ufo",
    "offload_csum",
    "pci_segment",
)
MEMORY = (
    "memory_size",
    "memory_hotplug_size",
    "memory_hugepages",
    "memory_hugepage_size",
    "memory_mergeable",
    "memory_prefault",
    "memory_shared",
    "memory_thp",
)


def _words(kind: Any, prefix: str) -> dict[int, str]:
    """What the numbers of an enumeration mean; nothing for one that is not set."""
    words = {number: name.removeprefix(prefix).lower() for name, number in kind.items()}
    return words | {0: ""}


STATUSES = _words(node_pb2.VmState.Status, "STATUS_")
STOPS = _words(node_pb2.StopOutcome.How, "HOW_")


def spec_message(vm: Vm, boot: Boot, disks: Sequence[DiskFile]) -> node_pb2.VmSpec:
    """Everything a node needs to run a VM."""
    spec = node_pb2.VmSpec(
        name=vm.name,
        driver=vm.driver or "",
        boot_vcpus=vm.boot_vcpus,
        max_vcpus=vm.max_vcpus,
        kvm_hyperv=vm.kvm_hyperv,
        kernel=file_message(boot.kernel),
        cmdline=boot.cmdline,
        disks=[_disk(disk) for disk in disks],
        networks=[_network(network) for network in vm.networks],
        autostart=vm.autostart,
        config_json=json.dumps(vm.config) if vm.config else "",
        **{name: value for name in MEMORY if (value := getattr(vm, name)) is not None},
    )
    if boot.initrd is not None:
        spec.initrd.CopyFrom(file_message(boot.initrd))
    if vm.cpu_topology:
        spec.cpu_topology.CopyFrom(node_pb2.CpuTopology(**vm.cpu_topology))
    return spec


def file_message(file: File) -> node_pb2.FileReference:
    """A file beneath its pool."""
    return node_pb2.FileReference(pool_path=file.pool_path, path=file.path)


def observation(state: node_pb2.VmState) -> Observation:
    """One VM as its node sees it."""
    stop = state.last_stop
    return Observation(
        vm_id=state.vm_id,
        name=state.name,
        status=STATUSES.get(state.status) or "unknown",
        reason=state.reason,
        driver=state.driver,
        generation=state.generation,
        started_at_ms=state.started_at_ms,
        stop_how=STOPS.get(stop.how, ""),
        stop_seconds=stop.seconds,
        stop_detail=stop.detail,
        spec_digest=state.spec_digest,
        doing=state.doing,
    )


def facts(node: node_pb2.NodeDescription) -> NodeFacts:
    """A node's word on itself."""
    return NodeFacts(
        node_id=node.node_id,
        boot_id=node.boot_id,
        version=node.version,
        hostname=node.hostname,
        cpus=node.cpus,
        memory_bytes=node.memory_bytes,
        drivers=tuple(_driver(driver) for driver in node.drivers),
        degraded_reason=node.degraded_reason,
    )


def event(message: node_pb2.NodeEvent) -> NodeEvent | None:
    """One message of a node's stream; None for a kind this program does not know."""
    kind = message.WhichOneof("event")
    if kind == "snapshot":
        vms = tuple(observation(state) for state in message.snapshot.vms)
        return Snapshot(facts(message.snapshot.node), vms, tuple(message.snapshot.strangers))
    if kind == "vm_changed":
        return observation(message.vm_changed)
    if kind == "vm_removed":
        return Removed(message.vm_removed)
    if kind == "node_changed":
        return facts(message.node_changed)
    return Heartbeat() if kind == "heartbeat" else None


def counters(message: node_pb2.VmCounters) -> dict[str, Any]:
    """A VM's counters as its metrics answer holds them."""
    devices = {name: dict(device.values) for name, device in message.devices.items()}
    actual = message.memory_actual_size if message.HasField("memory_actual_size") else None
    return {"counters": devices, "memory_actual_size": actual}


def _driver(driver: node_pb2.DriverDescription) -> dict[str, Any]:
    return {
        "name": driver.name,
        "version": driver.version,
        "accelerator": driver.accelerator,
        "stand_in": driver.stand_in,
        "usable": driver.usable,
        "reason": driver.reason,
        "capabilities": sorted(driver.capabilities),
    }


def _disk(disk: DiskFile) -> node_pb2.Disk:
    return node_pb2.Disk(
        id=disk.id, file=file_message(disk.file), readonly=disk.readonly, image_type=disk.image_type
    )


def _network(network: Mapping[str, Any]) -> node_pb2.Network:
    texts = {name: network[name] for name in TEXTS if network.get(name)}
    numbers = {name: network[name] for name in NUMBERS if network.get(name) is not None}
    message = node_pb2.Network(**texts, **numbers, iommu=bool(network.get("iommu")))
    for kind, bucket in (network.get("rate_limiter") or {}).items():
        if bucket:
            given = {name: value for name, value in bucket.items() if value is not None}
            getattr(message.rate_limiter, kind).CopyFrom(node_pb2.TokenBucket(**given))
    return message
