"""The spec that a node keeps, back in the control plane's words: the way round of `wire.spec_message`."""

from __future__ import annotations

import json
from typing import Any

from qarax_proto import node_pb2

from qarax_server.errors import Invalid
from qarax_server.models import Boot, DiskFile, File, KeptSpec, NewVm
from qarax_server.nodes import wire
from qarax_server.nodes.client import SHORT, NodeClient

_PLAIN = ("name", "boot_vcpus", "max_vcpus", "kvm_hyperv", "autostart")
_TOPOLOGY = ("threads_per_core", "cores_per_die", "dies_per_package", "packages")


async def get_spec(node: NodeClient, vm_id: str) -> KeptSpec:
    """Ask a node for the spec of one of its VMs; NotFound when it does not have it."""
    spec = await node.call(node.stub.GetSpec, node_pb2.GetVmRequest(vm_id=vm_id), SHORT)
    return _kept(spec)


def _kept(spec: node_pb2.VmSpec) -> KeptSpec:
    new = NewVm(
        hypervisor="cloud_hv",
        cpu_topology=_topology(spec),
        networks=tuple(_network(network) for network in spec.networks),
        config=_config(spec.config_json),
        **{name: getattr(spec, name) for name in _PLAIN},
        **{name: _given(spec, name) for name in wire.MEMORY},
    )
    initrd = _file(spec.initrd) if spec.initrd.path else None
    disks = tuple(
        DiskFile(disk.id, _file(disk.file), disk.readonly, disk.image_type or "raw") for disk in spec.disks
    )
    return KeptSpec(new, spec.driver, Boot(_file(spec.kernel), initrd, spec.cmdline), disks)


def _given(message: Any, name: str) -> Any:
    """A field; None for an optional one that was left out."""
    if message.DESCRIPTOR.fields_by_name[name].has_presence and not message.HasField(name):
        return None
    return getattr(message, name)


def _file(reference: node_pb2.FileReference) -> File:
    return File(reference.pool_path, reference.path)


def _topology(spec: node_pb2.VmSpec) -> dict[str, int] | None:
    if not spec.HasField("cpu_topology"):
        return None
    return {name: getattr(spec.cpu_topology, name) for name in _TOPOLOGY}


def _network(network: node_pb2.Network) -> dict[str, Any]:
    texts = {name: getattr(network, name) or None for name in wire.TEXTS}
    numbers = {name: _given(network, name) for name in wire.NUMBERS}
    return {
        **texts,
        **numbers,
        "iommu": network.iommu or None,
        "vhost_user": network.interface_type == "vhost_user",
        "rate_limiter": _rate_limiter(network.rate_limiter) if network.HasField("rate_limiter") else None,
    }


def _rate_limiter(limiter: node_pb2.RateLimiter) -> dict[str, Any]:
    return {
        kind: _bucket(getattr(limiter, kind)) if limiter.HasField(kind) else None
        for kind in ("bandwidth", "ops")
    }


def _bucket(bucket: node_pb2.TokenBucket) -> dict[str, int | None]:
    return {name: _given(bucket, name) for name in ("size", "refill_time", "one_time_burst")}


def _config(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise Invalid(f"the spec that the node keeps has a config that is no JSON: {error}") from error
    return config if isinstance(config, dict) else None
