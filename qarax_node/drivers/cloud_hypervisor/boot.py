"""How a VM starts: spawn, `vm.create`, `vm.add-net`, the console, `vm.boot`. The one place that says boot.

A failed boot strips or half-builds what the VMM has stored, so it is never tried again on the same VMM: the
process is ended and the next start makes a new one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from qarax_node.drivers.base import DriverError
from qarax_node.drivers.cloud_hypervisor import client, process, spec
from qarax_node.keeper_client import KeeperError, KeeperUnavailableError
from qarax_node.processes import wait_gone

if TYPE_CHECKING:
    from qarax_node.drivers.base import MachineSpec
    from qarax_node.keeper_client import KeeperClient
    from qarax_node.processes import Process

LOGGER = logging.getLogger(__name__)
CREATE_SECONDS = 30.0
BOOT_SECONDS = 90.0  # a vhost-user backend is waited for 60 s by the VMM itself
PREFAULT_BYTES_PER_SECOND = 256 << 20
NO_MEMORY = "(os error 12)"
LOCKED = "already locked"
DISK_LOCKED = "disk_locked"
LOCK_PAUSES = (0.1, 0.4)
NO_ANSWER = "vmm_timeout"
DEATH_SECONDS = 1.0
# What its words are about, as a field of the spec.
AT_FAULT = (
    ("disk", "disks"),
    ("virtio-net", "networks"),
    ("vhost-user-net", "networks"),
    ("kernel", "boot_source_id"),
    ("initramfs", "boot_source_id"),
    ("memory", "memory_size"),
    ("vcpu", "max_vcpus"),
)


async def start(machine: MachineSpec, keeper: KeeperClient, binary: str, *, landlock: bool) -> Process:
    """Bring the VM up. Raises DriverError with the hypervisor's own words and leaves no process behind.

    A disk may be locked for a moment yet by a VMM that was killed: that is tried again, on a new VMM.
    """
    for pause in LOCK_PAUSES:
        try:
            return await _start(machine, keeper, binary, landlock=landlock)
        except DriverError as error:
            if error.code != DISK_LOCKED:
                raise
        await asyncio.sleep(pause)
    return await _start(machine, keeper, binary, landlock=landlock)


async def _start(machine: MachineSpec, keeper: KeeperClient, binary: str, *, landlock: bool) -> Process:
    vmm = await process.spawn(binary, machine, keeper)
    api = client.Client(machine.directory)
    try:
        await process.wait_ready(vmm, api, machine.directory)
        await _create(machine, api, landlock=landlock)
        await attach_console(machine, keeper, "boot")
        await _boot(api, _boot_seconds(machine))
    except BaseException as error:
        ended = getattr(error, "code", "") == NO_ANSWER and await wait_gone(vmm, DEATH_SECONDS)
        await asyncio.shield(_abandon(machine, vmm))
        if ended:
            raise process.ended_early(machine.directory) from error
        raise
    return vmm


async def _create(machine: MachineSpec, api: client.Client, *, landlock: bool) -> None:
    await _ask(api, "vm.create", spec.vm_config(machine, landlock=landlock))
    for body, fds in spec.added_nets(machine):
        await _ask(api, "vm.add-net", body, fds)


async def _ask(api: client.Client, endpoint: str, body: Any, fds: tuple[int, ...] = ()) -> None:
    try:
        await api.put(endpoint, body, fds=fds, seconds=CREATE_SECONDS)
    except client.RefusedError as error:
        raise refused(error) from error
    except (client.UnansweredError, client.AbsentError) as error:
        raise unanswered(error) from error


def _boot_seconds(machine: MachineSpec) -> float:
    """Prefault and huge pages are paid for during the boot."""
    paid = machine.memory_size if machine.memory_prefault or machine.memory_hugepages else 0
    return BOOT_SECONDS + paid / PREFAULT_BYTES_PER_SECOND


async def _boot(api: client.Client, seconds: float) -> None:
    """A lost answer is an unknown outcome: ask what the VM does."""
    try:
        await api.put("vm.boot", seconds=seconds)
    except client.RefusedError as error:
        raise refused(error) from error
    except (client.UnansweredError, client.AbsentError) as error:
        if await state_of(api) != "Running":
            raise unanswered(error) from error


async def state_of(api: client.Client) -> str:
    """`Created`, `Running` or `Paused`; "" when there is no answer."""
    try:
        info = await api.get("vm.info")
    except (client.RefusedError, client.UnansweredError, client.AbsentError):
        return ""
    return str(info.get("state", ""))


async def attach_console(machine: MachineSpec, keeper: KeeperClient, kind: str) -> None:
    """Have the keeper own the serial socket; raises DriverError."""
    try:
        await keeper.attach(machine.vm_id, machine.directory / process.SERIAL, kind)
    except KeeperUnavailableError as error:
        raise DriverError(str(error), code=error.code, kind="unavailable") from error
    except KeeperError as error:
        raise DriverError(str(error), code=error.code, kind="state") from error


async def _abandon(machine: MachineSpec, vmm: Process) -> None:
    try:
        await process.kill(vmm)
    except DriverError:
        LOGGER.exception("VM %s: what is left of a failed start", machine.vm_id)
        return
    process.remove_sockets(machine.directory)


def refused(error: client.RefusedError, kind: str = "invalid") -> DriverError:
    """The hypervisor's own words, for the operator."""
    words = error.words
    if NO_MEMORY in words:
        return DriverError(
            f"Cloud Hypervisor has no memory for this VM: {words}", code="no_memory", kind="exhausted"
        )
    code = DISK_LOCKED if LOCKED in words else "vmm_refused"
    field = next((field for said, field in AT_FAULT if said in words.lower()), "")
    return DriverError(f"Cloud Hypervisor refused: {words}", code=code, kind=kind, field=field)


def unanswered(error: Exception) -> DriverError:
    """The outcome is unknown."""
    return DriverError(
        f"Cloud Hypervisor did not answer: {error}; it hangs or the host is overloaded, a hard stop ends it",
        code=NO_ANSWER,
        kind="timeout",
    )
