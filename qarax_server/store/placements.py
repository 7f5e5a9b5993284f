"""Why a VM is where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.store.vms import unknown

PLACEMENTS = queries.load("placements")


def insert_placements(tx: Transaction, decisions: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep decisions, by VM."""
    rows = [{"vm_id": vm_id, "decision": decision} for vm_id, decision in decisions.items()]
    tx.later(PLACEMENTS.insert_placements, placements=json.dumps(rows))


async def get_placement(c: Connection, vm_id: str) -> dict[str, Any]:
    """Return a VM's decision as its GET answers it, or raise NotFound."""
    row = await c.fetch_one(PLACEMENTS.get_placement, vm_id=vm_id)
    if row is None:
        raise unknown(vm_id)
    if row["decision"] is None:
        raise NotFound("this VM was adopted, not placed: there is no decision", code="no_placement")
    return {"vm_id": row["id"], "decided_at": row["decided_at"], **row["decision"]}


async def get_time(c: Connection) -> str:
    """Return the database's clock as RFC 3339 text."""
    text: str = await c.fetch_value(PLACEMENTS.get_time)
    return text
