"""Making a VM: place it, keep it, then tell its node.

Row, claim, decision and operation commit before the node hears of it; the idempotency key was noted even
before. A node that refuses makes all of it undone. If this process dies in between, the reconciler takes the
open operation up and calls `tell_node` again, which a node answers the same however often it is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qarax_server import caller
from qarax_server.control import claiming, files, history, settling
from qarax_server.control.claiming import Place, Wanted
from qarax_server.control.core import Core
from qarax_server.control.failpoints import reach
from qarax_server.control.files import Files
from qarax_server.database import Connection, Transaction
from qarax_server.errors import Conflict, Invalid, NotFound, QaraxError
from qarax_server.models import Host, NewVm, Operation, Vm, VmDisk, build
from qarax_server.store import hosts, operations, placements, vms
from qarax_server.store.operations import NewOperation
from qarax_server.store.vms import Placed

SECONDS = 60.0


def new_vm(body: Mapping[str, Any]) -> NewVm:
    """Make the dataclass of a validated body."""
    disks = tuple(build(VmDisk, disk) for disk in body.get("disks") or ())
    return build(NewVm, {**body, "disks": disks, "networks": tuple(body.get("networks") or ())})


async def preview(core: Core, new: NewVm) -> dict[str, Any]:
    """Decide as `create` would, and change nothing."""
    async with core.database.connection() as c:
        return await claiming.preview(core, c, await _wanted(core, c, new))


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
        if await settling.is_outcome(core, error):
            await settling.undo_creation(core, operation, host.id, error.message)
            raise _as_invalid(error) from error
        raise
    reach("create.answered")
    return await settling.succeed(core, operation, host.id, observed)


async def _create(core: Core, vm_id: str, new: NewVm) -> str:
    async with core.database.connection() as c:
        wanted = await _wanted(core, c, new)
    kept: Kept = await core.together(keep).do((vm_id, wanted))
    reach("create.kept")
    try:
        return await _tell(core, kept)
    finally:
        core.mine.end(kept.operation)


async def keep(core: Core, wanted: Sequence[tuple[str, Wanted]]) -> Sequence[Kept | Invalid | None]:
    """Place new VMs (id, what it wants) and keep them, all in one transaction.

    Returns:
        For each that it is kept, why it is not, or None when it is to be tried again.
    """
    with core.mine.beginning() as begin:
        async with core.database.transaction() as tx:
            places = await claiming.claim(core, tx, [each for _, each in wanted])
            reach("create.claimed")
            placed = [
                (vm_id, each, place)
                for (vm_id, each), place in zip(wanted, places, strict=True)
                if isinstance(place, Place)
            ]
            kept = {each.vm.id: each for each in await _insert(tx, placed)} if placed else {}
            for each in kept.values():
                begin(each.operation)
    return [
        kept[vm_id] if isinstance(place, Place) else place
        for (vm_id, _), place in zip(wanted, places, strict=True)
    ]


async def _insert(tx: Transaction, placed: Sequence[tuple[str, Wanted, Place]]) -> list[Kept]:
    rows = [Placed(vm_id, each.new, place.host.id, place.decision.driver) for vm_id, each, place in placed]
    made = await vms.insert_vms(tx, rows)
    placements.insert_placements(tx, {vm_id: place.decision.document() for vm_id, _, place in placed})
    begun = await operations.insert_operations(
        tx,
        [
            NewOperation(("vm", vm_id, each.new.name), "create", {}, SECONDS, who=each.who)
            for vm_id, each, _ in placed
        ],
    )
    for operation in begun:
        history.record_started(tx, operation, None)
    reach("create.inserted")
    return [
        Kept(operation, vm, place.host, each.files)
        for operation, vm, (_, each, place) in zip(begun, made, placed, strict=True)
    ]


async def _wanted(core: Core, c: Connection, new: NewVm) -> Wanted:
    found = await files.resolve(c, new.boot_source_id, new.disks, core.settings.vm_defaults)
    return Wanted(new, found, caller.current())


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
