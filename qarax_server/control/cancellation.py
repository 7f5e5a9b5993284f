"""Cancelling an operation, where that is possible.

An action on a VM is one call to its node that either happened or did not: it cannot be taken back, only
followed by another. Work that lasts (a disk being made) looks at the request and ends early.
"""

from __future__ import annotations

from qarax_server.control import history
from qarax_server.control.core import Core
from qarax_server.errors import Conflict
from qarax_server.store import operations

REMEDIES = {
    "stop": "POST /vms/{id}/stop?grace=0 shortens it",
    "create": "delete the VM when it is there",
    "start": "stop or delete the VM",
}


async def cancel(core: Core, operation_id: str) -> str:
    """Ask for an operation's end and return its JSON text.

    Raises:
        NotFound: no such operation.
        Conflict: it has ended, or is of a kind that cannot be taken back.
    """
    core.lease.require()
    async with core.database.transaction() as tx:
        operation = await operations.get_operation(tx, operation_id)
        if operation.status != "running":
            raise Conflict(
                f"{operation.action} of {operation.subject_name} has {operation.status}", code="ended"
            )
        if operation.subject_type == "vm":
            remedy = REMEDIES.get(operation.action, "wait for its end")
            message = f"{operation.action} of {operation.subject_name} cannot be taken back: {remedy}"
            raise Conflict(message, code="not_cancellable")
        changed = await operations.request_cancel(tx, operation_id)
        if changed is not None:
            history.record_operation(tx, changed)
        return await operations.get_operation_document(tx, operation_id)
