"""The nouns of the control plane as the tables show them: frozen, small, already safe to print.

A record holds what a row needs and no more: ten thousand VMs must fit into a few megabytes. Everything
else a resource has, fields this version does not know included, is in `Fleet.details(noun, id)`.
Times are Unix seconds (float) or None, sizes are bytes. They are made from JSON in `reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Noun = Literal[
    "vm", "host", "storage_pool", "storage_object", "transfer", "boot_source", "operation", "orphan"
]
NOUNS: tuple[Noun, ...] = (
    "vm",
    "host",
    "storage_pool",
    "storage_object",
    "transfer",
    "boot_source",
    "operation",
    "orphan",
)
Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One action in flight or finished. `status`: running succeeded failed cancelled."""

    id: str
    action: str
    status: str
    actor: str
    subject_type: str
    subject_id: str
    subject_name: str
    started_at: float | None
    deadline_at: float | None
    ended_at: float | None
    outcome: str
    reason: str
    progress: float | None
    """0.0 to 1.0, or None when the action has no measure."""

    @property
    def running(self) -> bool:
        """True until it has ended in any way."""
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class Vm:
    """One VM. `status`: unknown created running paused shutdown; `driver` is what really runs it."""

    id: str
    name: str
    status: str
    status_reason: str
    host_id: str
    driver: str
    boot_vcpus: int
    max_vcpus: int
    memory_size: int
    boot_source_id: str
    networks: tuple[str, ...]
    """One word per interface: its id and what it is tied to, as `net0=tap3`."""
    disks: tuple[str, ...]
    """The storage objects it uses."""
    protected: bool
    started_at: float | None
    created_at: float | None
    operation: Operation | None


@dataclass(frozen=True, slots=True)
class Host:
    """One host. `status`: unknown down installing installation_failed initializing up."""

    id: str
    name: str
    address: str
    port: int
    host_user: str
    status: str
    status_reason: str
    drivers: tuple[str, ...]
    stand_ins: tuple[str, ...]
    """Those of them that run VMs in place of what was asked for."""
    versions: tuple[str, ...]
    """`name version` pairs, as `qarax-node 0.1.0`."""
    cpus: int
    memory_bytes: int
    allocated_vcpus: int
    allocated_memory_bytes: int
    last_seen_at: float | None
    """When its node was last heard of; while it answers, heartbeats move this on without an event."""

    @property
    def answers(self) -> bool:
        """Whether its node was heard of just now, as far as events tell: silence is given as a reason."""
        return self.status == "up" or (
            self.status == "down" and not self.status_reason and self.last_seen_at is not None
        )


@dataclass(frozen=True, slots=True)
class StoragePool:
    """One pool. `pool_type`: local nfs; `status`: active inactive error; `host_id` "" means every host."""

    id: str
    name: str
    pool_type: str
    status: str
    status_reason: str
    path: str
    host_id: str
    capacity_bytes: int | None
    allocated_bytes: int


@dataclass(frozen=True, slots=True)
class StorageObject:
    """One file in a pool. `object_type`: disk kernel initrd iso snapshot."""

    id: str
    name: str
    storage_pool_id: str
    object_type: str
    size_bytes: int
    path: str
    parent_id: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer into a pool. `status`: pending running completed failed."""

    id: str
    name: str
    source: str
    object_type: str
    transfer_type: str
    status: str
    storage_pool_id: str
    storage_object_id: str
    total_bytes: int | None
    transferred_bytes: int
    error_message: str
    started_at: float | None
    completed_at: float | None

    @property
    def fraction(self) -> float | None:
        """0.0 to 1.0, or None while the size is unknown."""
        if self.status == "completed":
            return 1.0
        return min(1.0, self.transferred_bytes / self.total_bytes) if self.total_bytes else None


@dataclass(frozen=True, slots=True)
class BootSource:
    """A kernel, perhaps an initrd, and a command line."""

    id: str
    name: str
    description: str
    kernel_image_id: str
    initrd_image_id: str
    kernel_params: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A VM that a node has and the control plane does not know; `id` is the VM's."""

    id: str
    name: str
    host_id: str
    status: str
    ignored: bool
    first_seen_at: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the flight recorder.

    `changes` are the plain fields that differ, as `status: running → paused`, at most eight. The resources
    before and after are not kept; `Api.event(sequence)` asks for them.
    """

    sequence: int
    occurred_at: float | None
    action: str
    actor: str
    request_id: str
    subject_type: str
    subject_id: str
    subject_name: str
    message: str
    changes: tuple[str, ...]


Record: TypeAlias = Vm | Host | StoragePool | StorageObject | Transfer | BootSource | Operation | Orphan
