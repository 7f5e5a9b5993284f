"""Changing a VM: words and policies at any time, its shape only while nothing runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from qarax_server.control import files, history, settling
from qarax_server.control.core import Core
from qarax_server.database import Transaction
from qarax_server.errors import Conflict, Invalid, QaraxError
from qarax_server.models import Vm, VmDisk, build
from qarax_server.store import hosts, operations, vms
from qarax_server.store.hosts import Share

log = logging.getLogger(__name__)

ANY_TIME = frozenset({"name", "description", "stop_grace_seconds", "autostart", "protected"})
NOT_RUNNING = frozenset({"created", "shutdown"})


async def update(core: Core, vm_id: str, changes: Mapping[str, Any]) -> str:
    """Change a VM and return its JSON text; the node learns of it at the next start.

    Of `autostart` it learns at once, for that it acts on by itself; when it is away, at the next start.

    Raises:
        Conflict: it runs, another operation is under way, or the name is taken.
        Invalid: the new shape breaks a rule or does not fit its host.
    """
    core.lease.require()
    async with core.database.transaction() as tx:
        vm = await _lock(tx, vm_id, with_host=bool(set(changes) - ANY_TIME))
        before = await tx.snapshot("vm", vm_id)
        if set(changes) - ANY_TIME:
            await _check_shape(core, tx, vm, changes)
        await vms.update_vm(tx, vm_id, changes)
        message = f"{vm.name} was changed: {', '.join(sorted(changes))}"
        history.record_vm(tx, "update", (vm_id, changes.get("name", vm.name)), message, before)
    if changes.get("autostart", vm.autostart) != vm.autostart:
        await core.tasks.finish(_tell(core, vm, autostart=changes["autostart"]))
    async with core.database.connection() as c:
        return await vms.get_vm_document(c, vm_id)


async def _lock(tx: Transaction, vm_id: str, *, with_host: bool) -> Vm:
    """The VM as it is now, for nobody else to change or to start before the end of the transaction."""
    if with_host:
        await hosts.lock_host(tx, (await vms.get_vm(tx, vm_id)).host_id)
    if not await vms.lock_vm(tx, vm_id):
        raise vms.unknown(vm_id)
    return await vms.get_vm(tx, vm_id)


async def _tell(core: Core, vm: Vm, *, autostart: bool) -> None:
    with core.mine.holding(vm.id):
        async with core.database.connection() as c:
            host = await hosts.get_host(c, vm.host_id)
        try:
            observed = await core.nodes.of(host).set_autostart(vm.id, autostart=autostart)
        except QaraxError as error:
            log.warning("%s is told of autostart at its next start: %s", vm.name, error)
            return
        async with core.database.transaction() as tx:
            vms.update_told(tx, {vm.id: observed.spec_digest})
            history.record_observed(tx, await vms.update_observed(tx, [(host.id, observed)]))


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
    topology = changes.get("cpu_topology", vm.cpu_topology)
    if topology and (product := math.prod(topology.values())) != most:
        sentence = f"amounts to {product} vCPUs, max_vcpus is {most}: change both together"
        raise Invalid(f"cpu_topology: {sentence}", errors={"cpu_topology": [sentence]})
    disks = [build(VmDisk, disk) for disk in changes["disks"]] if "disks" in changes else vm.disks
    source = changes.get("boot_source_id", vm.boot_source_id)
    found = await files.resolve(tx, source, disks, core.settings.vm_defaults)
    for path, home in found.homes.items():
        if home != vm.host_id:
            raise Invalid(f"{path} is on another host than {vm.name}")
    await _claim_more(core, tx, vm, boot, changes.get("memory_size", vm.memory_size))


async def _claim_more(core: Core, tx: Transaction, vm: Vm, vcpus: int, memory: int) -> None:
    """Move the VM's claim on its host by the difference."""
    more_cpus, more_memory = vcpus - vm.boot_vcpus, memory - vm.memory_size
    if not more_cpus and not more_memory:
        return
    if more_cpus <= 0 and more_memory <= 0:
        await hosts.release_host(tx, vm.host_id, vcpus=-more_cpus, memory=-more_memory)
        return
    if not await hosts.claim_host(tx, Share(vm.host_id, more_cpus, more_memory), core.settings.placement):
        raise Invalid(f"the host of {vm.name} is not up or has no room for this size", code="no_host_fits")
