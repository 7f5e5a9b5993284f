"""Cancelling an operation, where that is possible.

A stop that waits for its guest is: nothing is forced, and the guest goes on unless it has obeyed. A creation
is while it waits for a host that is away. Work that lasts is by whoever carries it (`Core.cancels`). The rest
is one call to a node that happened or did not: it cannot be taken back, only followed by another.

The wish is written first. Whoever settles the operation obeys it, so it holds over a crash: `decisions`.
"""

from __future__ import annotations

from qarax_server.control import decisions, history, settling
from qarax_server.control.core import Core
from qarax_server.errors import Conflict
from qarax_server.models import Operation
from qarax_server.store import hosts, operations, vms

REMEDIES = {
    "create": "it is being made at this moment; delete the VM when it is there",
    "start": "stop the VM when it runs, or delete it",
}


async def cancel(core: Core, operation_id: str) -> str:
    """Ask for an operation's end and return its JSON text: `cancelled`, or running until its host answers.

    Raises:
        NotFound: no such operation.
        Conflict: it has ended, or cannot be taken back.
        NodeUnavailable, NodeTimeout: the wish is kept; the operation is settled when its host answers.
    """
    core.lease.require()
    return await core.tasks.finish(_cancel(core, operation_id))


async def _cancel(core: Core, operation_id: str) -> str:
    async with core.database.transaction() as tx:
        operation = await operations.get_operation(tx, operation_id)
        _check(core, operation)
        changed = await operations.request_cancel(tx, operation_id)
        if changed is not None:
            history.record_operation(tx, changed)
    if operation.action in core.cancels:
        await core.cancels[operation.action](operation)
    elif operation.action == "stop":
        await call_off(core, operation)
    async with core.database.connection() as c:
        return await operations.get_operation_document(c, operation_id)


def _check(core: Core, operation: Operation) -> None:
    if operation.status != "running":
        raise Conflict(f"{operation.action} of {operation.subject_name} has {operation.status}", code="ended")
    if (operation.progress or {}).get("cancellable") is False:
        step = (operation.progress or {}).get("step") or "its end"
        message = f"{operation.action} of {operation.subject_name} has come to {step}: wait for its end"
        raise Conflict(message, code="not_cancellable")
    waits = operation.action == "create" and operation.id not in core.mine
    if operation.action in core.cancels or (
        operation.subject_type == "vm" and (operation.action == "stop" or waits)
    ):
        return
    remedy = REMEDIES.get(operation.action, "wait for its end")
    message = f"{operation.action} of {operation.subject_name} cannot be taken back: {remedy}"
    raise Conflict(message, code="not_cancellable")


async def call_off(core: Core, operation: Operation) -> None:
    """Let a node stop a VM no more, and settle by what became of it."""
    async with core.database.connection() as c:
        vm = await vms.get_vm(c, operation.subject_id)
        host = await hosts.get_host(c, vm.host_id)
    if not host.reachable:
        return
    observed = await core.nodes.of(host).cancel_stop(vm.id)
    if observed.status == "shutdown":
        await settling.succeed(core, operation, host.id, observed)
    else:
        await settling.cancel(core, operation, decisions.STILL_ON, (host.id, observed))
