"""Start, stop, pause, resume, reboot and delete: claim the operation, call the node, settle.

What is allowed is decided by `transitions`.

The claim is one statement: of several who come at once, one gets it and the others learn what is in their
way. A node that does not answer in time leaves the operation open; the reconciler settles it from what the
node observes, for a timeout is not a failure.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from qarax_server.control import decisions, files, history, settling, transitions
from qarax_server.control.core import Core
from qarax_server.control.failpoints import reach
from qarax_server.control.files import Files
from qarax_server.database import Connection, Transaction
from qarax_server.errors import Conflict, Invalid, NodeUnavailable, NotFound, QaraxError
from qarax_server.models import Host, Operation, Vm
from qarax_server.observed import Observation
from qarax_server.store import hosts, operations, vms
from qarax_server.store.operations import Changed

SECONDS = {"start": 60.0, "stop": 15.0, "pause": 15.0, "resume": 15.0, "reboot": 60.0, "delete": 30.0}
ATTEMPTS = 5


async def act(core: Core, action: str, vm_id: str, grace: int | None = None) -> str:
    """Bring a VM where the action leads and return its JSON text.

    Args:
        core: the server's.
        action: a name from `transitions.ACTIONS`, not `delete`.
        vm_id: the VM.
        grace: of a stop: seconds before force; None takes the VM's own, else the configured one.

    Raises:
        NotFound: no such VM.
        Conflict: the action cannot happen from this status; Busy when another operation is in its way.
        NodeUnavailable: its host does not answer; nothing was begun.
        NodeTimeout: the outcome is open.
        Invalid: the node refused, in its own words.
    """
    core.lease.require()
    return await core.tasks.finish(_act(core, action, vm_id, grace))


async def delete(core: Core, vm_id: str, *, force: bool) -> None:
    """Remove a VM, whatever runs on it.

    Raises:
        NotFound: no such VM.
        Conflict: it is protected; Busy when it is being made or deleted already.
        NodeUnavailable: its host does not answer, and `force` was not given.
    """
    core.lease.require()
    await core.tasks.finish(_delete(core, vm_id, force=force))


@dataclass(frozen=True)
class Subject:
    """What an action is about; `files` are those of a start."""

    vm: Vm
    host: Host
    files: Files | None


async def read(core: Core, action: str, vm_id: str) -> Subject:
    """Read what an action is about; once it is claimed, nothing that it needs changes.

    Raises:
        Invalid: a file of a VM that is to start is not there any more.
    """
    async with core.database.connection() as c:
        vm, host = await _look(c, vm_id)
        defaults = core.settings.vm_defaults
        found = await files.resolve(c, vm.boot_source_id, vm.disks, defaults) if action == "start" else None
    return Subject(vm, host, found)


async def perform(core: Core, operation: Operation, subject: Subject) -> Observation:
    """Tell the node what an operation asks for; the reconciler does so again after a crash."""
    node, vm = core.nodes.of(subject.host), subject.vm
    if subject.files is not None:
        return await node.start_vm(vm, subject.files.boot, subject.files.disks)
    if operation.action == "stop":
        return await node.stop_vm(vm.id, int(operation.parameters["grace_seconds"]))
    calls = {"pause": node.pause_vm, "resume": node.resume_vm, "reboot": node.reboot_vm}
    return await calls[operation.action](vm.id)


def with_grace(operation: Operation, seconds: int) -> Operation:
    """The same operation, with what is left of its time."""
    if operation.action != "stop":
        return operation
    grace = min(int(operation.parameters["grace_seconds"]), seconds)
    return replace(operation, parameters={"grace_seconds": grace})


async def _act(core: Core, action: str, vm_id: str, grace: int | None) -> str:
    for _ in range(ATTEMPTS):
        claimed = await _claim(core, action, vm_id, grace)
        if claimed is not None:
            return await _run(core, *claimed)
        async with core.database.connection() as c:
            vm, host = await _look(c, vm_id)
            running = await operations.get_running_operation(c, "vm", vm_id)
        if running is not None and _shortens(action, grace, running):
            return await _shorten(core, running, host, grace or 0)
        _check(action, vm, host, running)
        if transitions.is_done(action, vm.shown_status):
            async with core.database.connection() as c:
                return await vms.get_vm_document(c, vm_id)
    raise Conflict(f"{vm.name} changes faster than this request can be decided: try again", code="busy")


async def _look(c: Connection, vm_id: str) -> tuple[Vm, Host]:
    vm = await vms.get_vm(c, vm_id)
    return vm, await hosts.get_host(c, vm.host_id)


def _check(action: str, vm: Vm, host: Host, running: Operation | None) -> None:
    if running is not None:
        raise settling.busy(running)
    if not host.reachable:
        raise _away(host)
    if why := transitions.refusal(action, vm.shown_status):
        raise Conflict(f"{vm.name}: {why}", code="wrong_status")


async def _claim(
    core: Core, action: str, vm_id: str, grace: int | None
) -> tuple[Operation, asyncio.Task[Subject]] | None:
    """Begin an action; what it is about is read from the claim on, while that goes to the disk."""
    reading: asyncio.Task[Subject] | None = None
    try:
        with core.mine.beginning() as begin:
            async with core.database.transaction() as tx:
                begun = await _insert_claim(core, tx, action, vm_id, grace)
                if begun is None:
                    return None
                begin(begun.operation)
                history.record_started(tx, begun.operation, begun.vm_before)
                reading = asyncio.create_task(read(core, action, vm_id))
    except BaseException:
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        raise
    return begun.operation, reading


async def _insert_claim(
    core: Core, tx: Transaction, action: str, vm_id: str, grace: int | None
) -> Changed | None:
    vms.lock_vms(tx, [vm_id])  # what the claim returns of before is then what it waited for
    begun = await operations.claim_vm_operation(
        tx,
        vm_id,
        action,
        allowed=transitions.ACTIONS[action].allowed,
        grace=grace,
        usual_grace=core.settings.vm_defaults.stop_grace_seconds,
        seconds=SECONDS[action],
    )
    if begun is not None and action == "start" and core.settings.vm_defaults.rootfs:
        await _check_root_disk(core, tx, await vms.get_vm(tx, vm_id))
    return begun


async def _check_root_disk(core: Core, tx: Transaction, vm: Vm) -> None:
    """One root disk of the configuration serves one running VM."""
    if vm.boot_source_id is None:
        holder = await vms.get_root_disk_holder(tx, vm.id)
        if holder is not None:
            raise Conflict(
                f"the root disk {core.settings.vm_defaults.rootfs} is held by {holder}: stop that VM first",
                code="root_disk_in_use",
            )


async def _run(core: Core, operation: Operation, reading: asyncio.Task[Subject]) -> str:
    reach(f"{operation.action}.claimed")
    try:
        host_id, observed = await _perform_or_fail(core, operation, reading)
        reach(f"{operation.action}.answered")
        return await settling.succeed(core, operation, host_id, observed)
    finally:
        core.mine.end(operation)


async def _perform_or_fail(
    core: Core, operation: Operation, reading: asyncio.Task[Subject]
) -> tuple[str, Observation]:
    """Tell the node; its refusal settles the operation, while silence leaves it open."""
    try:
        subject = await reading
        return subject.host.id, await perform(core, operation, subject)
    except QaraxError as error:
        if error.code == "stop_cancelled":
            await settling.cancel(core, operation, decisions.STILL_ON)
        elif await settling.is_outcome(core, error):
            await settling.fail(core, operation, error.message)
        if isinstance(error, NotFound):
            raise _missing(error) from error
        raise


def _missing(error: NotFound) -> QaraxError:
    """What a node does not find is a file, or its part of the VM; the address that was asked for is there."""
    if error.code == "vm_missing":
        return Conflict(f"{error.message}: delete it and make it anew", code=error.code)
    return Invalid(error.message, code=error.code, errors=error.errors)


def _shortens(action: str, grace: int | None, running: Operation) -> bool:
    return action == running.action == "stop" and grace == 0


async def _shorten(core: Core, running: Operation, host: Host, grace: int) -> str:
    """End a stop in progress at once; whoever settles it first, both are told the same."""
    async with core.database.transaction() as tx:
        changed = await operations.shorten_stop(tx, running.id, grace)
        if changed is not None:
            history.record_operation(tx, changed)
    observed = await core.nodes.of(host).stop_vm(running.subject_id, grace)
    return await settling.succeed(core, running, host.id, observed)


async def _delete(core: Core, vm_id: str, *, force: bool) -> None:
    async with core.database.connection() as c:
        vm, host = await _look(c, vm_id)
    if vm.protected:
        raise Conflict(f"{vm.name} is protected: PATCH it to protected false first", code="protected")
    if not host.reachable and not force:
        raise _away(host, "or delete with ?force=true, and its node is told when it returns")
    operation = await _take_over(core, vm, force=force)
    reach("delete.claimed")
    try:
        if host.reachable:
            await core.nodes.of(host).delete_vm(vm.id)
            reach("delete.answered")
        await settling.forget(core, operation, host.id, told=host.reachable)
    except QaraxError as error:
        if not isinstance(error, NotFound) and await settling.is_outcome(core, error):
            await settling.fail(core, operation, error.message)
        raise
    finally:
        core.mine.end(operation)


async def _take_over(core: Core, vm: Vm, *, force: bool) -> Operation:
    """End what runs on the VM and begin its deletion, in one transaction."""
    spared = () if force else ("create", "delete")
    with core.mine.beginning() as begin:
        async with core.database.transaction() as tx:
            if not await vms.lock_vm(tx, vm.id):
                raise vms.unknown(vm.id)
            before = await tx.snapshot("vm", vm.id)
            ended = await operations.take_over(tx, ("vm", vm.id), "taken over by delete", spared)
            in_the_way = await operations.get_running_operation(tx, "vm", vm.id)
            if in_the_way is not None:
                raise settling.busy(in_the_way)
            subject = ("vm", vm.id, vm.name)
            parameters = {"force": force}
            operation = await operations.insert_operation(
                tx, subject, "delete", parameters, SECONDS["delete"]
            )
            begin(operation)
            if ended is not None:
                history.record_operation(tx, ended)
            history.record_started(tx, operation, before)
    return operation


def _away(host: Host, remedy: str = "try again when it is back") -> NodeUnavailable:
    why = f": {host.status_reason}" if host.status_reason else ""
    return NodeUnavailable(f"host {host.name} does not answer{why}; {remedy}")
