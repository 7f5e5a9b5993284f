"""The kept spec of a VM (the wire's VmSpec) and what a driver gets of it (MachineSpec).

The one mapping between the two. The spec is kept as protobuf JSON in `<vm>/spec.json`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from qarax_proto import node_pb2

from qarax_node.drivers.base import DiskSpec, MachineSpec, NetworkSpec
from qarax_node.errors import NodeError
from qarax_node.storage import paths

TOPOLOGY = ("threads_per_core", "cores_per_die", "dies_per_package", "packages")
PLAIN = (
    "name",
    "boot_vcpus",
    "max_vcpus",
    "kvm_hyperv",
    "memory_size",
    "memory_hugepages",
    "memory_mergeable",
    "memory_prefault",
    "memory_shared",
    "memory_thp",
    "cmdline",
)
NETWORK_PLAIN = (
    "id",
    "interface_type",
    "tap",
    "host_mac",
    "ip",
    "mask",
    "vhost_socket",
    "vhost_mode",
    "iommu",
)
NETWORK_OPTIONAL = (
    "mtu",
    "num_queues",
    "queue_size",
    "offload_tso",
    "offload_ufo",
    "offload_csum",
    "pci_segment",
)


def digest(spec: node_pb2.VmSpec) -> str:
    """SHA-256 hex of the spec, the same wherever it is computed."""
    return digest_of(to_bytes(spec))


def digest_of(kept: bytes) -> str:
    """The same of `to_bytes`."""
    return hashlib.sha256(kept).hexdigest()


def to_bytes(spec: node_pb2.VmSpec) -> bytes:
    """The spec, the same bytes wherever they are made."""
    return spec.SerializeToString(deterministic=True)


def to_json(spec: node_pb2.VmSpec) -> dict[str, Any]:
    """For `spec.json`."""
    return json_format.MessageToDict(spec, preserving_proto_field_name=True)


def from_json(kept: dict[str, Any]) -> node_pb2.VmSpec | None:
    """Of `spec.json`; fields that a newer node wrote are left out. None for what is no spec."""
    try:
        return json_format.ParseDict(kept, node_pb2.VmSpec(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return None


def check(spec: node_pb2.VmSpec) -> None:
    """Refuse what no driver could run, by field."""
    rules = (
        (spec.boot_vcpus >= 1, "boot_vcpus", "must be at least 1"),
        (spec.max_vcpus >= spec.boot_vcpus, "max_vcpus", "must not be smaller than boot_vcpus"),
        (spec.memory_size >= 1 << 20, "memory_size", "must be at least 1 MiB, in bytes"),
        (bool(spec.kernel.path), "boot_source_id", "a VM needs a kernel"),
        (len({disk.id for disk in spec.disks}) == len(spec.disks), "disks", "have ids that are not distinct"),
        (
            len({one.id for one in spec.networks}) == len(spec.networks),
            "networks",
            "have ids that are not distinct",
        ),
        ("\0" not in spec.cmdline and "\n" not in spec.cmdline, "kernel_params", "must be one line"),
    )
    for holds, field, sentence in rules:
        if not holds:
            raise NodeError(f"{field} {sentence}", code="spec_invalid", field=field)


def machine_spec(vm_id: str, spec: node_pb2.VmSpec, directory: Path, macvtap_parent: str) -> MachineSpec:
    """What a driver needs; paths are checked by text, files by `preflight.py`."""
    optional = {
        name: getattr(spec, name)
        for name in ("memory_hotplug_size", "memory_hugepage_size")
        if spec.HasField(name)
    }
    topology = {name: getattr(spec.cpu_topology, name) for name in TOPOLOGY}
    return MachineSpec(
        vm_id=vm_id,
        directory=directory,
        kernel=_path(spec.kernel, "boot_source_id"),
        initrd=_path(spec.initrd, "boot_source_id") if spec.initrd.path else None,
        cpu_topology=topology if spec.HasField("cpu_topology") else None,
        disks=tuple(_disk(disk, place) for place, disk in enumerate(spec.disks)),
        networks=tuple(_network(vm_id, network, macvtap_parent) for network in spec.networks),
        **{name: getattr(spec, name) for name in PLAIN},
        **optional,
    )


def _path(file: node_pb2.FileReference, field: str) -> Path:
    return Path(file.pool_path) / paths.relative(file.pool_path, file.path, field)


def _disk(disk: node_pb2.Disk, place: int) -> DiskSpec:
    image_type = disk.image_type or "raw"
    if image_type not in ("raw", "qcow2"):
        raise NodeError(
            f"image_type {image_type!r} must be raw or qcow2",
            code="spec_invalid",
            field=f"disks.{place}.image_type",
        )
    return DiskSpec(disk.id, _path(disk.file, f"disks.{place}"), disk.readonly, image_type)


def _network(vm_id: str, network: node_pb2.Network, macvtap_parent: str) -> NetworkSpec:
    optional = {
        name: getattr(network, name)
        for name in NETWORK_OPTIONAL
        if network.HasField(name)  # type: ignore[arg-type]  # its own names
    }
    return NetworkSpec(
        mac=network.mac or _mac(vm_id, network.id),
        parent=network.parent or (macvtap_parent if network.interface_type == "macvtap" else ""),
        rate_limiter=_rate_limiter(network.rate_limiter) if network.HasField("rate_limiter") else None,
        **{name: getattr(network, name) for name in NETWORK_PLAIN},
        **optional,
    )


def _mac(vm_id: str, network_id: str) -> str:
    """A guest MAC that stays the same over restarts, for a network that names none."""
    tail = hashlib.sha256(f"{vm_id}/{network_id}/mac".encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def _rate_limiter(limiter: node_pb2.RateLimiter) -> dict[str, dict[str, int]]:
    limits = {}
    for name, bucket in (("bandwidth", limiter.bandwidth), ("ops", limiter.ops)):
        if limiter.HasField(name):  # type: ignore[arg-type]  # one of its two
            limits[name] = {"size": bucket.size, "refill_time": bucket.refill_time}
            if bucket.HasField("one_time_burst"):
                limits[name]["one_time_burst"] = bucket.one_time_burst
    return limits
