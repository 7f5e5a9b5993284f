"""What changes of VMs and operations look like in the flight recorder, in one place."""

from __future__ import annotations

from collections.abc import Iterable

from qarax_server.database import Event, Transaction
from qarax_server.models import Operation
from qarax_server.store.operations import Changed
from qarax_server.store.vms import Change


def record_started(tx: Transaction, operation: Operation, before: str | None) -> None:
    """An operation began, and its VM shows it."""
    message = f"{operation.action} of {operation.subject_name} began"
    tx.record(Event(operation.action, "operation", operation.id, operation.subject_name, message))
    record_vm(tx, operation.action, (operation.subject_id, operation.subject_name), message, before)


def record_operation(tx: Transaction, changed: Changed) -> None:
    """An operation ended or moved on."""
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
        )
    )


def record_vm(tx: Transaction, action: str, vm: tuple[str, str], message: str, before: str | None) -> None:
    """A VM (id, name) changed."""
    tx.record(Event(action, "vm", *vm, message, before=before))


def record_observed(tx: Transaction, changes: Iterable[Change]) -> None:
    """VMs were seen to be otherwise than known."""
    for change in changes:
        if change.visible:
            why = f": {change.reason}" if change.reason else ""
            message = f"{change.name} is {change.status}{why}"
            record_vm(tx, "observe", (change.vm_id, change.name), message, change.before)
