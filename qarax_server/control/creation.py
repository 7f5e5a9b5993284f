"""Making a VM: place it, keep it, then tell its node.

Row, claim, decision and operation commit before the node hears of it; the idempotency key was noted even
before. A node that refuses makes all of it undone. If this process dies in between, the reconciler takes the
open operation up and calls `tell_node` again, which a node answers the same however often it is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qarax_server.control import claiming, files, history, settling
from qarax_server.control.core import Core
from qarax_server.control.failpoints import reach
from qarax_server.control.files import Files
from qarax_server.database import Transaction
from qarax_server.errors import Conflict, Invalid, NotFound, QaraxError
from qarax_server.models import Host, NewVm, Operation, Vm, VmDisk, build
from qarax_server.nodes.failures import is_refusal
from qarax_server.store import hosts, operations, placements, vms

SECONDS = 60.0


def new_vm(body: Mapping[str, Any]) -> NewVm:
    """Make the dataclass of a validated body."""
    disks = tuple(build(VmDisk, disk) for disk in body.get("disks") or ())
    return build(NewVm, {**body, "disks": disks, "networks": tuple(body.get("networks") or ())})


async def preview(core: Core, new: NewVm) -> dict[str, Any]:
    """Decide as `create` would, and change nothing."""
    async with core.database.connection() as c:
        decision = await claiming.preview(core, c, new)
        decided_at = await placements.get_time(c)
    return {"vm_id": None, "decided_at": decided_at, **decision.document()}


async def create(core: Core, vm_id: str, new: NewVm) -> str:
    """Make a VM and return its JSON text once its node has prepared it.

    Raises:
        Conflict: the name is taken.
        Invalid: no host fits (`details["placement"]` says why), or the node refused.
        NodeTimeout, NodeUnavailable: the outcome is open; the VM is there and gets settled.
    """
    core.lease.require()
    return await core.tasks.finish(_create(core, vm_id, _with_addresses(vm_id, new)))


@dataclass(frozen=True)
class Kept:
    """A VM that is kept and that its node has yet to hear of."""

    operation: Operation
    vm: Vm
    host: Host
    files: Files


async def tell_node(core: Core, operation: Operation) -> str:
    """Let the node prepare a VM that was kept before a crash, and settle its operation."""
    async with core.database.connection() as c:
        vm = await vms.get_vm(c, operation.subject_id)
        host = await hosts.get_host(c, vm.host_id)
        found = await files.resolve(c, vm.boot_source_id, vm.disks, core.settings.vm_defaults)
    return await _tell(core, Kept(operation, vm, host, found))


async def _tell(core: Core, kept: Kept) -> str:
    operation, host = kept.operation, kept.host
    try:
        observed = await core.nodes.of(host).create_vm(kept.vm, kept.files.boot, kept.files.disks)
    except QaraxError as error:
        if is_refusal(error):
            await settling.undo_creation(core, operation, host.id, error.message)
            raise _as_invalid(error) from error
        raise
    reach("create.answered")
    return await settling.succeed(core, operation, host.id, observed)


async def _create(core: Core, vm_id: str, new: NewVm) -> str:
    with core.mine.beginning() as begin:
        async with core.placing, core.database.transaction() as tx:
            kept = await _keep(core, tx, vm_id, new)
            begin(kept.operation)
    reach("create.kept")
    try:
        return await _tell(core, kept)
    finally:
        core.mine.end(kept.operation)


async def _keep(core: Core, tx: Transaction, vm_id: str, new: NewVm) -> Kept:
    place = await claiming.claim(core, tx, new)
    reach("create.claimed")
    vm = await vms.insert_vm(tx, vm_id, new, place.host.id, place.driver)
    placements.insert_placement(tx, vm_id, place.decision.document())
    subject = ("vm", vm_id, new.name)
    operation = await operations.insert_operation(tx, subject, "create", {}, SECONDS)
    history.record_started(tx, operation, None)
    reach("create.inserted")
    return Kept(operation, vm, place.host, place.files)


def _with_addresses(vm_id: str, new: NewVm) -> NewVm:
    """Give every interface without a MAC one that stays the same over restarts."""
    networks = [
        {**network, "mac": network.get("mac") or _mac(vm_id, network["id"])} for network in new.networks
    ]
    return replace(new, networks=tuple(networks))


def _mac(vm_id: str, network_id: str) -> str:
    """A locally administered unicast address out of what never changes."""
    digest = hashlib.sha256(f"{vm_id}/{network_id}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *digest[:3]))


def _as_invalid(error: QaraxError) -> QaraxError:
    """A node's refusal of a new VM is about its body, whatever the node calls it."""
    if isinstance(error, Conflict | NotFound):
        return Invalid(error.message, code=error.code, errors=error.errors)
    return error
