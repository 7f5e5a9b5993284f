"""Changing a VM: words and policies at any time, its shape only while nothing runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qarax_server.control import files, history, settling
from qarax_server.control.core import Core
from qarax_server.database import Transaction
from qarax_server.errors import Conflict, Invalid
from qarax_server.models import Vm, VmDisk, build
from qarax_server.store import hosts, operations, vms

ANY_TIME = frozenset({"name", "description", "stop_grace_seconds", "autostart", "protected"})
NOT_RUNNING = frozenset({"created", "shutdown"})


async def update(core: Core, vm_id: str, changes: Mapping[str, Any]) -> str:
    """Change a VM and return its JSON text; the node learns of it at the next start.

    Raises:
        Conflict: it runs, another operation is under way, or the name is taken.
        Invalid: the new shape breaks a rule or does not fit its host.
    """
    core.lease.require()
    async with core.database.transaction() as tx:
        before = await tx.snapshot("vm", vm_id)
        vm = await vms.get_vm(tx, vm_id)
        if set(changes) - ANY_TIME:
            await _check_shape(core, tx, vm, changes)
        await vms.update_vm(tx, vm_id, changes)
        message = f"{vm.name} was changed: {', '.join(sorted(changes))}"
        history.record_vm(tx, "update", (vm_id, changes.get("name", vm.name)), message, before)
        return await vms.get_vm_document(tx, vm_id)


async def _check_shape(core: Core, tx: Transaction, vm: Vm, changes: Mapping[str, Any]) -> None:
    running = await operations.get_running_operation(tx, "vm", vm.id)
    if running is not None:
        raise settling.busy(running)
    if vm.shown_status not in NOT_RUNNING:
        fields = ", ".join(sorted(set(changes) - ANY_TIME))
        raise Conflict(f"{vm.name} is {vm.shown_status}: stop it to change {fields}", code="wrong_status")
    boot, most = changes.get("boot_vcpus", vm.boot_vcpus), changes.get("max_vcpus", vm.max_vcpus)
    if boot > most:
        sentence = f"at most max_vcpus, which is {most}"
        raise Invalid(f"boot_vcpus: {sentence}", errors={"boot_vcpus": [sentence]})
    disks = [build(VmDisk, disk) for disk in changes["disks"]] if "disks" in changes else vm.disks
    source = changes.get("boot_source_id", vm.boot_source_id)
    found = await files.resolve(tx, source, disks, core.settings.vm_defaults)
    for path, home in found.homes.items():
        if home != vm.host_id:
            raise Invalid(f"the storage pool at {path} is on another host than {vm.name}")
    await _claim_more(core, tx, vm, boot, changes.get("memory_size", vm.memory_size))


async def _claim_more(core: Core, tx: Transaction, vm: Vm, vcpus: int, memory: int) -> None:
    """Move the VM's claim on its host by the difference."""
    more_cpus, more_memory = vcpus - vm.boot_vcpus, memory - vm.memory_size
    if not more_cpus and not more_memory:
        return
    limits = core.settings.placement
    if more_cpus <= 0 and more_memory <= 0:
        await hosts.release_host(tx, vm.host_id, vcpus=-more_cpus, memory=-more_memory)
        return
    claimed = await hosts.claim_host(
        tx,
        vm.host_id,
        vcpus=more_cpus,
        memory=more_memory,
        cpu_overcommit=limits.cpu_overcommit,
        memory_overcommit=limits.memory_overcommit,
    )
    if not claimed:
        raise Invalid(f"the host of {vm.name} is not up or has no room for this size", code="no_host_fits")
