"""Whole resources as the REST contract gives them, for fakes and tests: every field, null when empty."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

PATHS = {
    "vm": "/vms",
    "host": "/hosts",
    "storage_pool": "/storage-pools",
    "storage_object": "/storage-objects",
    "boot_source": "/boot-sources",
    "operation": "/operations",
    "orphan": "/orphans",
}
ACTION_STATUS = {"start": "running", "stop": "shutdown", "pause": "paused", "resume": "running"}
ALLOWED = {
    "start": {"created", "shutdown"},
    "stop": {"running", "paused"},
    "pause": {"running"},
    "resume": {"paused"},
    "reboot": {"running"},
}
_NUMBER = itertools.count(1)

_VM: dict[str, Any] = {
    "description": None,
    "status": "created",
    "status_reason": None,
    "hypervisor": "cloud_hv",
    "driver": "simulated",
    "host_id": None,
    "boot_vcpus": 1,
    "max_vcpus": 1,
    "memory_size": 512 * 2**20,
    "boot_source_id": None,
    "networks": [],
    "disks": [],
    "config": None,
    "cpu_topology": None,
    "kvm_hyperv": False,
    "memory_hotplug_size": None,
    "memory_hugepages": False,
    "memory_hugepage_size": None,
    "memory_mergeable": False,
    "memory_prefault": False,
    "memory_shared": False,
    "memory_thp": True,
    "autostart": False,
    "protected": False,
    "stop_grace_seconds": None,
    "started_at": None,
    "operation": None,
}
_HOST = {
    "address": "127.0.0.1",
    "port": 50051,
    "host_user": "root",
    "status": "down",
    "status_reason": None,
    "drivers": [],
    "versions": {},
    "cpus": 8,
    "memory_bytes": 32 * 2**30,
    "allocated_vcpus": 0,
    "allocated_memory_bytes": 0,
    "last_seen_at": None,
}
_POOL = {
    "pool_type": "local",
    "status": "active",
    "status_reason": None,
    "config": {"path": "/var/lib/qarax/pool"},
    "capacity_bytes": 100 * 2**30,
    "allocated_bytes": 0,
    "host_id": None,
}
_OBJECT = {
    "storage_pool_id": None,
    "object_type": "kernel",
    "size_bytes": 1024,
    "config": {"path": "/var/lib/qarax/pool/vmlinux"},
    "parent_id": None,
}
_TRANSFER = {
    "source": "/var/lib/qarax/images/vmlinux",
    "object_type": "kernel",
    "transfer_type": "local_copy",
    "status": "pending",
    "storage_pool_id": None,
    "storage_object_id": None,
    "total_bytes": None,
    "transferred_bytes": 0,
    "error_message": None,
    "started_at": None,
    "completed_at": None,
}
_BOOT_SOURCE = {"description": None, "kernel_image_id": None, "initrd_image_id": None, "kernel_params": None}
_OPERATION = {
    "subject_type": "vm",
    "subject_id": None,
    "subject_name": "",
    "action": "start",
    "status": "running",
    "actor": "test",
    "request_id": "",
    "progress": None,
    "outcome": None,
    "reason": None,
    "started_at": None,
    "deadline_at": None,
    "ended_at": None,
}
_ORPHAN = {"host_id": None, "status": "running", "ignored": False, "first_seen_at": None}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "vm": _VM,
    "host": _HOST,
    "storage_pool": _POOL,
    "storage_object": _OBJECT,
    "transfer": _TRANSFER,
    "boot_source": _BOOT_SOURCE,
    "operation": _OPERATION,
    "orphan": _ORPHAN,
}


def now() -> str:
    """This moment as the contract writes it."""
    return datetime.now(UTC).isoformat()


def new_resource(noun: str, **fields: Any) -> dict[str, Any]:
    """A resource with defaults for whatever is not given; `id` may be given too."""
    stamped = {"id": str(uuid.uuid4()), "created_at": now(), "updated_at": now(), "started_at": now()}
    if noun != "operation":
        stamped = {**stamped, "name": f"{noun.replace('_', '-')}-{next(_NUMBER)}"}
    body = {**stamped, **_DEFAULTS[noun], **fields}
    return {"vm_id": body["id"], **body} if noun == "orphan" else body


def counters() -> dict[str, dict[str, int]]:
    """What a running VM has used, by device."""
    return {
        "vmm": {"resident_bytes": 96 * 2**20, "cpu_milliseconds": 1520},
        "disk0": {"read_bytes": 2**20, "write_bytes": 2**20},
        "net0": {"rx_bytes": 10, "tx_bytes": 20},
    }
