"""Deployments: the status of a host while it is installed, and how far its operation has come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.store.operations import Changed, changed

DEPLOYMENTS = queries.load("deployments")


async def begin_deployment(tx: Transaction, host_id: str) -> None:
    """The host is `installing`."""
    await tx.execute(DEPLOYMENTS.begin_deployment, id=host_id)


async def expect_node(tx: Transaction, host_id: str) -> None:
    """The host is `initializing`: admitted, and its node is awaited."""
    await tx.execute(DEPLOYMENTS.expect_node, id=host_id)


async def finish_deployment(tx: Transaction, host_id: str) -> bool:
    """The host is `up`; False when its node does not answer after all."""
    return await tx.execute(DEPLOYMENTS.finish_deployment, id=host_id) == 1


async def fail_deployment(tx: Transaction, host_id: str, reason: str) -> None:
    """The host is `installation_failed`."""
    await tx.execute(DEPLOYMENTS.fail_deployment, id=host_id, reason=reason)


async def undo_deployment(tx: Transaction, host_id: str) -> None:
    """The host is what it was before."""
    await tx.execute(DEPLOYMENTS.undo_deployment, id=host_id)


async def pin_ssh_host_key(tx: Transaction, host_id: str, key: str) -> None:
    """Keep the key that a host showed, unless one is known."""
    await tx.execute(DEPLOYMENTS.pin_ssh_host_key, id=host_id, key=key)


async def note_progress(tx: Transaction, operation_id: str, progress: Mapping[str, Any]) -> Changed | None:
    """Write how far an operation has come; None when it has ended."""
    row = await tx.fetch_one(DEPLOYMENTS.note_progress, id=operation_id, progress=json.dumps(progress))
    return changed(row)


async def list_running_vms(c: Connection, host_id: str) -> list[str]:
    """Return the names of the VMs that run on a host, or are being started there."""
    return [row["name"] for row in await c.fetch_all(DEPLOYMENTS.list_running_vms, host_id=host_id)]
