"""A small furnished world with nothing random in it: the same ids and times in every run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.fakes.control_plane import ControlPlane

NOW = 1_800_000_000.0
STATUSES = ("running", "running", "running", "paused", "shutdown", "created", "unknown")
GIB = 2**30


def ago(seconds: float) -> str:
    return datetime.fromtimestamp(NOW - seconds, UTC).isoformat()


def _adder(plane: ControlPlane) -> Callable[..., str]:
    numbers = itertools.count(1)

    def add(noun: str, **fields: Any) -> str:
        identifier = f"00000000-0000-4000-8000-{next(numbers):012}"
        stamps = {"created_at": ago(4000), "updated_at": ago(4000), "started_at": None}
        return plane.add(noun, silently=True, id=identifier, **{**stamps, **fields})

    return add


def furnish(plane: ControlPlane, vms: int = 10) -> dict[str, str]:
    """Hosts, storage, boot sources, VMs in every status and operations; VM ids by name."""
    add = _adder(plane)
    hosts = _hosts(add)
    boot, disk = _storage(add)
    ids = {}
    for number in range(vms):
        status = STATUSES[number % len(STATUSES)]
        name = f"db-{number + 1}" if number % 3 == 0 else f"web-{number + 1}"
        ids[name] = add(
            "vm", name=name, status=status, host_id=hosts[2 if status == "unknown" else number % 2],
            driver="qemu" if number % 2 == 0 else "cloud_hypervisor", boot_vcpus=1 + number % 4, max_vcpus=4,
            memory_size=(1 + number % 4) * GIB // 2, boot_source_id=boot,
            networks=[{"id": "net0", "tap": f"tap{number}"}] if number % 2 else [],
            disks=[{"storage_object_id": disk, "image_type": "raw", "readonly": False}] if number % 2 else [],
            started_at=ago(100 * (number + 1) ** 2) if status in {"running", "paused"} else None,
            operation=_stopping() if number == 2 else None, stop_grace_seconds=30,
        )  # fmt: skip
    _operations(add, ids)
    return ids


def _stopping() -> dict[str, Any]:
    return {"id": "stop", "action": "stop", "status": "running", "started_at": ago(6),
            "deadline_at": ago(-24), "progress": None, "actor": "anna"}  # fmt: skip


def _hosts(add: Callable[..., str]) -> list[str]:
    stand_in = {"name": "qemu", "version": "7.2.9", "accelerator": "tcg", "stand_in": True, "usable": True,
                "reason": "it stands in for Cloud Hypervisor: no vmx"}  # fmt: skip
    native = {"name": "cloud_hypervisor", "version": "53.0", "usable": True}
    common = {"port": 50051, "cpus": 32, "memory_bytes": 64 * GIB, "last_seen_at": ago(2)}
    return [
        add("host", name="alpha", status="up", address="10.0.0.11", drivers=[stand_in], allocated_vcpus=14,
            allocated_memory_bytes=21 * GIB, versions={"qarax-node": "0.1.0"}, **common),
        add("host", name="beta", status="up", address="10.0.0.12", drivers=[native], allocated_vcpus=30,
            allocated_memory_bytes=60 * GIB, versions={"qarax-node": "0.1.0"}, **common),
        add("host", name="gamma", status="unknown", status_reason="no answer for 40 s", address="10.0.0.13",
            **{**common, "last_seen_at": ago(40)}),
    ]  # fmt: skip


def _storage(add: Callable[..., str]) -> tuple[str, str]:
    folder = "/var/lib/qarax/images"
    pool = add("storage_pool", name="local", config={"path": folder}, capacity_bytes=200 * GIB)
    made = {
        name: add("storage_object", name=name, object_type=kind, storage_pool_id=pool, size_bytes=bytes_,
                  config={"path": f"{folder}/{name}"})
        for name, kind, bytes_ in (
            ("vmlinux", "kernel", 12 * 2**20),
            ("initramfs.gz", "initrd", 5 * 2**20),
            ("root.ext4", "disk", GIB),
        )
    }  # fmt: skip
    add("transfer", name="debian.raw", source="https://images.example.org/debian.raw", object_type="disk",
        transfer_type="download", status="running", storage_pool_id=pool, total_bytes=2 * GIB,
        transferred_bytes=GIB, started_at=ago(30))  # fmt: skip
    boot = add("boot_source", name="linux", kernel_image_id=made["vmlinux"],
               initrd_image_id=made["initramfs.gz"], kernel_params="console=ttyS0 reboot=k panic=1",
               description="a small Linux")  # fmt: skip
    return boot, made["root.ext4"]


def _operations(add: Callable[..., str], ids: dict[str, str]) -> None:
    told = (
        ("start", "succeeded", "running after 1.9 s"),
        ("stop", "succeeded", "the guest obeyed after 4.1 s"),
        ("stop", "succeeded", "forced after 30 s"),
        ("start", "failed", "/var/lib/qarax/images/vmlinux is not readable"),
    )
    for number, ((action, status, reason), (name, vm_id)) in enumerate(zip(told, ids.items(), strict=False)):
        add("operation", action=action, status=status, reason=reason, subject_id=vm_id, subject_name=name,
            actor="anna", started_at=ago(60 * number + 30), ended_at=ago(60 * number + 26))  # fmt: skip


def record(plane: ControlPlane) -> None:
    """A few events with fixed times, as the flight recorder would have them."""
    for number, (vm_id, vm) in enumerate(list(plane.resources["vm"].items())[:6]):
        action = ("create", "start", "pause", "stop")[number % 4]
        plane.record("vm", action, None, vm)
        told = {"occurred_at": ago(60 * (6 - number)), "actor": "anna", "request_id": "", "subject_id": vm_id,
                "message": f"{action} of {vm['name']}"}  # fmt: skip
        plane.events[-1].update(told)
