"""What every driver offers: one hypervisor process per VM, made, driven and observed.

A driver knows its hypervisor and nothing of gRPC, of other drivers or of policy: `machines.py` holds the
VM's lock, keeps the spec on disk and decides what happens when. Each method is one step that may be
repeated: what is already so succeeds. Errors are `DriverError`s whose text is one sentence for the operator.
The next step down is the driver's own `process.py` (spawn through the keeper) and `client.py` (its socket).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qarax_node.errors import NodeError
from qarax_node.processes import Exit as Exit  # noqa: PLC0414  part of this interface
from qarax_node.processes import Process as Process  # noqa: PLC0414  part of this interface

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COUNTERS_SECONDS = 2.0
"""For each of the two questions that counters take: the server waits 5 s for both."""


class Status(enum.StrEnum):
    """What was last observed of a VM; the words of the REST contract."""

    UNKNOWN = "unknown"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"


class Capability(enum.StrEnum):
    """Named on the wire; a spec that needs one a driver lacks is refused by field and driver."""

    PAUSE = "pause"
    REBOOT = "reboot"
    POWER_BUTTON = "power_button"
    CONSOLE_INPUT = "console_input"
    COUNTERS = "counters"
    DISKS = "disks"
    QCOW2 = "qcow2"
    TAP = "tap"
    MACVTAP = "macvtap"
    VHOST_USER = "vhost_user"
    RATE_LIMITER = "rate_limiter"
    OFFLOADS = "offloads"
    MULTI_QUEUE = "multi_queue"
    PCI_SEGMENTS = "pci_segments"
    IOMMU = "iommu"
    CPU_TOPOLOGY = "cpu_topology"
    KVM_HYPERV = "kvm_hyperv"
    HUGEPAGES = "hugepages"
    SHARED_MEMORY = "shared_memory"
    PREFAULT = "prefault"
    MERGEABLE = "mergeable"
    THP_OFF = "thp_off"
    MEMORY_HOTPLUG = "memory_hotplug"


class StopHow(enum.StrEnum):
    """How a VMM ended."""

    OBEYED = "obeyed"
    FORCED = "forced"
    GUEST_POWEROFF = "guest_poweroff"
    CRASHED = "crashed"
    HOST_REBOOT = "host_reboot"
    INFERRED = "inferred"


class DriverError(NodeError):
    """A driver's refusal or failure."""


@dataclass(frozen=True)
class DriverFacts:
    """What a driver says of itself on this host."""

    name: str
    version: str
    accelerator: str
    usable: bool
    reason: str
    capabilities: frozenset[Capability]
    stand_in: bool = False


@dataclass(frozen=True)
class DiskSpec:
    """A disk with its path already resolved beneath its pool."""

    id: str
    path: Path
    readonly: bool
    image_type: str


@dataclass(frozen=True)
class NetworkSpec:
    """One interface; `mac`, and `tap` or `macvtap_fds`, are there by the time a driver starts it.

    `ip` and `mask` of the host's end the node has set by then.
    """

    id: str
    interface_type: str
    tap: str = ""
    parent: str = ""
    mac: str = ""
    host_mac: str = ""
    ip: str = ""
    mask: str = ""
    mtu: int | None = None
    num_queues: int | None = None
    queue_size: int | None = None
    vhost_socket: str = ""
    vhost_mode: str = ""
    iommu: bool = False
    offload_tso: bool | None = None
    offload_ufo: bool | None = None
    offload_csum: bool | None = None
    pci_segment: int | None = None
    rate_limiter: Mapping[str, Mapping[str, int]] | None = None
    macvtap_fds: tuple[int, ...] = ()


@dataclass(frozen=True)
class MachineSpec:
    """What a driver needs to run one VM. Sizes are bytes; paths are absolute and resolved."""

    vm_id: str
    name: str
    directory: Path
    boot_vcpus: int
    max_vcpus: int
    memory_size: int
    kernel: Path
    cmdline: str
    initrd: Path | None = None
    cpu_topology: Mapping[str, int] | None = None
    kvm_hyperv: bool = False
    memory_hotplug_size: int | None = None
    memory_hugepages: bool = False
    memory_hugepage_size: int | None = None
    memory_mergeable: bool = False
    memory_prefault: bool = False
    memory_shared: bool = False
    memory_thp: bool = True
    disks: tuple[DiskSpec, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What a driver sees of a VM right now."""

    status: Status
    reason: str = ""
    guest_rebooted: bool = False
    panicked: bool = False


class Notify(Protocol):
    """Called by a driver when its hypervisor says that something changed."""

    def __call__(self, vm_id: str, observation: Observation) -> None: ...


class Driver(Protocol):
    """The small protocol behind which a hypervisor stands.

    The VMM process exists from `start` to the end of `stop`/`kill`; before and after there is none.
    """

    @property
    def facts(self) -> DriverFacts: ...

    async def preflight(self, spec: MachineSpec) -> None:
        """Raise `DriverError` for whatever of the spec this driver or this host cannot honour."""

    async def start(self, spec: MachineSpec) -> Process:
        """Spawn through the keeper, attach the console, boot. On failure leave no process behind."""

    async def adopt(self, spec: MachineSpec, process: Process) -> Observation:
        """Take up a VMM that outlived the node: reconnect, watch, say what it does."""

    async def observe(self, spec: MachineSpec) -> Observation: ...

    async def power_button(self, spec: MachineSpec) -> None:
        """Ask the guest once to power off."""

    async def pause(self, spec: MachineSpec) -> None: ...

    async def resume(self, spec: MachineSpec) -> None: ...

    async def reboot(self, spec: MachineSpec) -> None: ...

    async def end(self, spec: MachineSpec) -> None:
        """End the VMM through its own interface, at once; the caller kills what does not go."""

    async def exit_reason(self, spec: MachineSpec, ended: Exit) -> tuple[StopHow, str]:
        """Say how a VMM that is gone ended, from its exit status, last events and log."""

    async def counters(self, spec: MachineSpec) -> Mapping[str, Mapping[str, int]]: ...

    async def forget(self, spec: MachineSpec) -> None:
        """Drop what this driver holds of a VM whose VMM is gone: sockets, watchers."""

    async def close(self) -> None:
        """Let go of everything without touching a guest."""
