"""What changes of VMs and operations look like in the flight recorder, in one place."""

from __future__ import annotations

from collections.abc import Iterable

from qarax_server import caller
from qarax_server.caller import Caller
from qarax_server.database import Event, Transaction
from qarax_server.models import Operation
from qarax_server.store.operations import Changed
from qarax_server.store.vms import Change


def record_started(tx: Transaction, operation: Operation, before: str | None) -> None:
    """An operation began, and its VM shows it."""
    message = f"{operation.action} of {operation.subject_name} began"
    who = Caller(operation.actor, operation.request_id)
    tx.record(Event(operation.action, "operation", operation.id, operation.subject_name, message, who=who))
    vm = (operation.subject_id, operation.subject_name)
    record_vm(tx, operation.action, vm, message, before, who=who)


def record_operation(tx: Transaction, changed: Changed, who: Caller | None = None) -> None:
    """An operation ended or moved on, for the running task's caller unless given."""
    operation = changed.operation
    how = f": {operation.reason}" if operation.reason else ""
    message = f"{operation.action} of {operation.subject_name} {operation.status}{how}"
    tx.record(
        Event(
            operation.action,
            "operation",
            operation.id,
            operation.subject_name,
            message,
            before=changed.before,
            who=who or caller.current(),
        )
    )


def record_vm(
    tx: Transaction,
    action: str,
    vm: tuple[str, str],
    message: str,
    before: str | None,
    *,
    who: Caller | None = None,
) -> None:
    """A VM (id, name) changed, for the running task's caller unless given."""
    tx.record(Event(action, "vm", *vm, message, before=before, who=who or caller.current()))


def record_observed(tx: Transaction, changes: Iterable[Change]) -> None:
    """VMs were seen to be otherwise than known."""
    for change in changes:
        if change.visible:
            why = f": {change.reason}" if change.reason else ""
            message = f"{change.name} is {change.status}{why}"
            record_vm(tx, "observe", (change.vm_id, change.name), message, change.before)
