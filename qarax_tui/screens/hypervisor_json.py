"""A VM's spec in Cloud Hypervisor's own words (`vm.create`), for copying and comparing.

Paths of images are known to the server and the node; the copy names their objects instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def vm_config(body: Json) -> dict[str, Any]:
    """The `VmConfig` that fits a VM's JSON, as far as the API knows it."""
    config: dict[str, Any] = {
        "cpus": {"boot_vcpus": body.get("boot_vcpus"), "max_vcpus": body.get("max_vcpus")},
        "memory": _memory(body),
        "payload": {"kernel": f"<boot source {body.get('boot_source_id') or 'default'}>"},
        "serial": {"mode": "Socket"},
        "console": {"mode": "Off"},
    }
    if body.get("cpu_topology"):
        config["cpus"]["topology"] = body["cpu_topology"]
    if body.get("kvm_hyperv"):
        config["cpus"]["kvm_hyperv"] = True
    networks = [_network(row) for row in body.get("networks") or () if isinstance(row, dict)]
    disks = [_disk(row) for row in body.get("disks") or () if isinstance(row, dict)]
    return config | ({"net": networks} if networks else {}) | ({"disks": disks} if disks else {})


def _memory(body: Json) -> dict[str, Any]:
    names = {
        "size": "memory_size", "hotplug_size": "memory_hotplug_size", "mergeable": "memory_mergeable",
        "hugepages": "memory_hugepages", "hugepage_size": "memory_hugepage_size",
        "prefault": "memory_prefault", "shared": "memory_shared", "thp": "memory_thp",
    }  # fmt: skip
    return {theirs: body[ours] for theirs, ours in names.items() if body.get(ours) is not None}


def _network(row: Json) -> dict[str, Any]:
    own = {"interface_type", "parent", "rate_limiter"}
    network = {name: value for name, value in row.items() if name not in own and value is not None}
    if row.get("rate_limiter"):
        network["rate_limiter_config"] = row["rate_limiter"]
    return network


def _disk(row: Json) -> dict[str, Any]:
    return {
        "path": f"<storage object {row.get('storage_object_id')}>",
        "readonly": bool(row.get("readonly")),
        "image_type": row.get("image_type"),
    }
