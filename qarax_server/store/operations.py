"""Operations: one action in flight or finished."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qarax_server import caller, queries
from qarax_server.caller import Caller
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import Operation, build
from qarax_server.store.forgetting import forget
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find, find_document

OPERATIONS = queries.load("operations")
LISTING = Listing(OPERATIONS.list_operation_resources, time="started_at", name="subject_name")


@dataclass(frozen=True)
class Changed:
    """An operation after a change, with its JSON text from before; None when it has just begun.

    `vm_before` is that of the VM it is about, where it begins or ends.
    """

    operation: Operation
    before: str | None
    vm_before: str | None = None


@dataclass(frozen=True)
class NewOperation:
    """An action that is to begin on a subject (type, id, name), and for whom."""

    subject: tuple[str, str, str]
    action: str
    parameters: Mapping[str, Any]
    seconds: float
    id: str | None = None
    who: Caller = field(default_factory=caller.current)

    def row(self) -> dict[str, Any]:
        """Its columns."""
        names = ("subject_type", "subject_id", "subject_name")
        fields = {name: getattr(self, name) for name in ("id", "action", "parameters", "seconds")}
        return dict(zip(names, self.subject, strict=True)) | fields | vars(self.who)


@dataclass(frozen=True)
class End:
    """How an operation is to end."""

    id: str
    status: str
    outcome: str | None
    reason: str | None


@dataclass(frozen=True)
class Open:
    """An operation on a VM that is in flight; `host_id` is None when the VM is gone."""

    operation: Operation
    host_id: str | None
    seconds_left: float


async def get_operation(c: Connection, operation_id: str) -> Operation:
    """Return an operation, or raise NotFound."""
    row = await find(c, OPERATIONS.get_operation, _unknown(operation_id), id=operation_id)
    return build(Operation, row)


async def get_operation_document(c: Connection, operation_id: str) -> str:
    """Return an operation's JSON text, or raise NotFound."""
    return await find_document(c, OPERATIONS.get_operation_document, _unknown(operation_id), id=operation_id)


async def get_running_operation(c: Connection, subject_type: str, subject_id: str) -> Operation | None:
    """Return the operation in flight on a subject."""
    row = await c.fetch_one(
        OPERATIONS.get_running_operation, subject_type=subject_type, subject_id=subject_id
    )
    return build(Operation, row) if row else None


async def claim_vm_operation(
    tx: Transaction,
    vm_id: str,
    action: str,
    *,
    allowed: Iterable[str],
    grace: int | None,
    usual_grace: int,
    seconds: float,
) -> Changed | None:
    """Begin an action on a VM in one statement; None when status, host or another operation forbid it.

    A stop has `grace` seconds, else the VM's own, else `usual_grace`; any other action `seconds`.
    """
    who = caller.current()
    row = await tx.fetch_one(
        OPERATIONS.claim_vm_operation,
        vm_id=vm_id,
        action=action,
        allowed=sorted(allowed),
        actor=who.actor,
        request_id=who.request_id,
        grace=grace,
        usual_grace=usual_grace,
        seconds=seconds,
    )
    return changed(row)


async def insert_operation(
    tx: Transaction,
    subject: tuple[str, str, str],
    action: str,
    parameters: Mapping[str, Any],
    seconds: float,
    *,
    operation_id: str | None = None,
) -> Operation:
    """Begin an action on a subject (type, id, name); Busy when another one is in flight on it."""
    new = NewOperation(subject, action, parameters, seconds, operation_id)
    (operation,) = await insert_operations(tx, [new])
    return operation


async def insert_operations(tx: Transaction, new: Sequence[NewOperation]) -> list[Operation]:
    """Begin actions on as many subjects; return them in their order."""
    rows = await tx.fetch_all(
        OPERATIONS.insert_operations, operations=json.dumps([each.row() for each in new])
    )
    begun = {row["subject_id"]: build(Operation, row) for row in rows}
    return [begun[each.subject[1]] for each in new]


async def settle_operation(
    tx: Transaction, operation_id: str, status: str, outcome: str | None, reason: str | None
) -> Changed | None:
    """End an operation; None when it had been ended before."""
    return (await settle_operations(tx, [End(operation_id, status, outcome, reason)])).get(operation_id)


async def settle_operations(tx: Transaction, ends: Sequence[End]) -> dict[str, Changed]:
    """End operations; return those, by id, that had not been ended before."""
    rows = await tx.fetch_all(OPERATIONS.settle_operations, ends=json.dumps([vars(each) for each in ends]))
    return {row["id"]: _changed(row) for row in rows}


async def take_over(
    tx: Transaction, subject: tuple[str, str], reason: str, except_actions: Iterable[str] = ()
) -> Changed | None:
    """End what is in flight on a subject (type, id) in favour of a stronger action."""
    row = await tx.fetch_one(
        OPERATIONS.take_over,
        subject_type=subject[0],
        subject_id=subject[1],
        reason=reason,
        except_actions=list(except_actions),
    )
    return changed(row)


async def shorten_stop(tx: Transaction, operation_id: str, grace: int) -> Changed | None:
    """Give a stop in flight a nearer deadline."""
    row = await tx.fetch_one(OPERATIONS.shorten_stop, id=operation_id, grace=grace)
    return changed(row)


async def request_cancel(tx: Transaction, operation_id: str) -> Changed | None:
    """Ask for an operation's end; None when it is not in flight."""
    row = await tx.fetch_one(OPERATIONS.request_cancel, id=operation_id)
    return changed(row)


async def list_open_vm_operations(c: Connection) -> list[Open]:
    """Return the operations on VMs that are in flight, oldest first."""
    rows = await c.fetch_all(OPERATIONS.list_open_vm_operations)
    return [Open(build(Operation, row), row["host_id"], row["seconds_left"]) for row in rows]


async def list_open_operations(c: Connection, subject_type: str) -> list[Operation]:
    """Return what is in flight on one kind of subject, oldest first."""
    rows = await c.fetch_all(OPERATIONS.list_open_operations, subject_type=subject_type)
    return [build(Operation, row) for row in rows]


async def delete_old_operations(c: Connection, days: int) -> int:
    """Forget what ended long ago, and return how many went."""
    return await forget(c, OPERATIONS.delete_old_operations, days=days)


def changed(row: Mapping[str, Any] | None) -> Changed | None:
    """Read an operation and what was before from a row; None of none."""
    return _changed(row) if row else None


def _changed(row: Mapping[str, Any]) -> Changed:
    return Changed(build(Operation, row), row.get("before"), row.get("vm_before"))


def _unknown(operation_id: str) -> NotFound:
    return NotFound(f"no operation has the id {operation_id}", code="no_such_operation")
