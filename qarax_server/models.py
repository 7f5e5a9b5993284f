"""One dataclass per noun, as a row of its table; what is decided, is decided on these.

Answers to clients do not come from here: PostgreSQL writes them (`sql/migrations/0002_resources.sql`).
Ids are UUID text, sizes bytes, times aware and by the database's clock.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""What every resource may be called."""


def build(kind: type[T], row: Mapping[str, Any]) -> T:
    """Make a dataclass from the columns of a row that it knows."""
    names = _field_names(kind)  # type: ignore[arg-type]  # a class is hashable
    return kind(**{name: value for name, value in row.items() if name in names})


@functools.cache
def _field_names(kind: type) -> frozenset[str]:
    return frozenset(each.name for each in dataclasses.fields(kind))


@dataclass(frozen=True)
class Host:
    """A machine. `admitted`: in placement; `reachable`: its node answers and is the one that is known."""

    id: str
    name: str
    address: str
    port: int
    host_user: str
    admitted: bool
    status: str
    status_reason: str | None
    reachable: bool
    node_id: str | None
    boot_id: str | None
    versions: Mapping[str, str]
    drivers: tuple[Mapping[str, Any], ...]
    cpus: int
    memory_bytes: int
    allocated_vcpus: int
    allocated_memory_bytes: int
    last_seen_at: datetime | None
    ssh_host_key: str | None = None


@dataclass(slots=True)
class Candidate:
    """What placement looks at of a host."""

    id: str
    name: str
    status: str
    status_reason: str | None
    usable_drivers: tuple[str, ...]
    cpus: int
    memory_bytes: int
    allocated_vcpus: int
    allocated_memory_bytes: int


@dataclass(frozen=True)
class StoragePool:
    """A directory for files; without `host_id` the same path is meant on every host."""

    id: str
    name: str
    pool_type: str
    config: Mapping[str, Any]
    capacity_bytes: int | None
    allocated_bytes: int
    host_id: str | None
    status: str
    status_reason: str | None

    @property
    def path(self) -> str:
        """The directory on its host."""
        return str(self.config.get("path") or "")


@dataclass(frozen=True)
class StorageObject:
    """A file inside a pool; `host_id` is None when it is wherever the pool is."""

    id: str
    name: str
    storage_pool_id: str
    object_type: str
    size_bytes: int
    config: Mapping[str, Any]
    parent_id: str | None
    host_id: str | None

    @property
    def path(self) -> str:
        """The file on the pool's host."""
        return str(self.config.get("path") or "")


@dataclass(frozen=True)
class Transfer:
    """A file on its way into a pool."""

    id: str
    name: str
    source: str
    object_type: str
    transfer_type: str
    status: str
    storage_pool_id: str
    storage_object_id: str | None
    host_id: str | None
    sha256: str | None
    total_bytes: int | None
    transferred_bytes: int
    error_message: str | None


@dataclass(frozen=True)
class BootSource:
    """A kernel, perhaps an initrd, and a command line."""

    id: str
    name: str
    description: str | None
    kernel_image_id: str
    initrd_image_id: str | None
    kernel_params: str | None


@dataclass(frozen=True)
class File:
    """A file beneath a pool's directory, as a node is told of it."""

    pool_path: str
    path: str


@dataclass(frozen=True)
class VmDisk:
    """A storage object attached to a VM; `file` is there when it was read for a node."""

    storage_object_id: str
    readonly: bool = False
    image_type: str = "raw"


@dataclass(frozen=True)
class NewVm:
    """What is asked for; defaults are those of the contract."""

    name: str
    hypervisor: str
    boot_vcpus: int
    max_vcpus: int
    memory_size: int
    description: str | None = None
    boot_source_id: str | None = None
    driver: str | None = None
    networks: tuple[Mapping[str, Any], ...] = ()
    disks: tuple[VmDisk, ...] = ()
    config: Mapping[str, Any] | None = None
    cpu_topology: Mapping[str, int] | None = None
    kvm_hyperv: bool = False
    memory_hotplug_size: int | None = None
    memory_hugepages: bool = False
    memory_hugepage_size: int | None = None
    memory_mergeable: bool = False
    memory_prefault: bool = False
    memory_shared: bool = False
    memory_thp: bool = True
    autostart: bool = False
    protected: bool = False
    stop_grace_seconds: int | None = None


@dataclass(frozen=True)
class Vm:
    """A VM as it is kept. `status` is the last observation; `shown_status` is what a reader is told."""

    id: str
    name: str
    description: str | None
    hypervisor: str
    wanted_driver: str | None
    driver: str | None
    status: str
    shown_status: str
    status_reason: str | None
    observed_generation: int
    host_id: str
    boot_vcpus: int
    max_vcpus: int
    cpu_topology: Mapping[str, int] | None
    kvm_hyperv: bool
    memory_size: int
    memory_hotplug_size: int | None
    memory_hugepages: bool
    memory_hugepage_size: int | None
    memory_mergeable: bool
    memory_prefault: bool
    memory_shared: bool
    memory_thp: bool
    boot_source_id: str | None
    networks: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any] | None
    autostart: bool
    protected: bool
    stop_grace_seconds: int | None
    disks: tuple[VmDisk, ...] = field(default=())


@dataclass(frozen=True)
class Operation:
    """One action in flight or finished."""

    id: str
    subject_type: str
    subject_id: str
    subject_name: str
    action: str
    status: str
    actor: str
    request_id: str
    parameters: Mapping[str, Any]
    progress: Mapping[str, Any] | None
    outcome: str | None
    reason: str | None
    cancel_requested: bool
    started_at: datetime
    deadline_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Boot:
    """What a VM boots, resolved to files on its host."""

    kernel: File
    initrd: File | None
    cmdline: str


@dataclass(frozen=True)
class DiskFile:
    """A disk of a VM, resolved to a file on its host."""

    id: str
    file: File
    readonly: bool
    image_type: str


@dataclass(frozen=True)
class KeptSpec:
    """What a node keeps of a VM. `new` has neither boot source nor disks: those are files here."""

    new: NewVm
    driver: str
    boot: Boot
    disks: tuple[DiskFile, ...]


@dataclass(frozen=True)
class Orphan:
    """A VM that a node has and nobody here knows."""

    host_id: str
    vm_id: str
    name: str
    status: str
    ignored: bool
