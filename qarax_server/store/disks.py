"""Disks in the making: operations whose subject is the storage object to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qarax_server import caller, queries
from qarax_server.database import Connection, Transaction
from qarax_server.models import Operation, build

DISKS = queries.load("disks")
ACTION = "create_disk"


async def insert_disk_operation(
    tx: Transaction,
    operation_id: str,
    subject: tuple[str, str],
    parameters: Mapping[str, Any],
    seconds: float,
) -> Operation:
    """Begin to make a disk; `subject` is the id and name of the object to be."""
    who = caller.current()
    row = await tx.fetch_one(
        DISKS.insert_disk_operation,
        id=operation_id,
        object_id=subject[0],
        name=subject[1],
        action=ACTION,
        actor=who.actor,
        request_id=who.request_id,
        parameters=json.dumps(parameters),
        seconds=seconds,
    )
    return build(Operation, row or {})


async def list_open_disk_operations(connection: Connection) -> list[Operation]:
    """List the disks whose making has not ended."""
    rows = await connection.fetch_all(DISKS.list_open_disk_operations, action=ACTION)
    return [build(Operation, row) for row in rows]
