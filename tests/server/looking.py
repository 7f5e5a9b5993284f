"""What tests of recovery wait for, and what a server leaves behind that dies."""

from __future__ import annotations

import json
from typing import Any

from qarax_server.models import Host
from qarax_server.store import hosts
from tests.server.running import ControlPlane, until


async def host_status(plane: ControlPlane, host_id: str, status: str) -> Any:
    async def has_it() -> Any:
        host = await plane.ok("GET", f"/hosts/{host_id}")
        return host if host["status"] == status else None

    return await until(has_it)


async def vm_with(plane: ControlPlane, vm_id: str, **fields: Any) -> Any:
    async def has_them() -> Any:
        vm = await plane.vm(vm_id)
        return vm if fields.items() <= vm.items() else None

    return await until(has_them)


async def host_of(plane: ControlPlane, host_id: str) -> Host:
    async with plane.server.core.database.connection() as c:
        return await hosts.get_host(c, host_id)


async def run_sql(plane: ControlPlane, statement: str, **parameters: Any) -> Any:
    async with plane.server.core.database.connection() as c:
        return await c.fetch_all(statement, **parameters)


async def open_operation(
    plane: ControlPlane, vm_id: str, action: str, *, cancelled: bool = False, **parameters: Any
) -> str:
    """What a server leaves behind that dies after the claim, or after it was asked to cancel."""
    rows = await run_sql(
        plane,
        "INSERT INTO operations (subject_type, subject_id, subject_name, action, actor, request_id,"
        " parameters, deadline_at, cancel_requested) VALUES"
        " ('vm', %(id)s, 'vm-1', %(action)s, 'ada', 'r', %(parameters)s, now() + '9 s', %(cancelled)s)"
        " RETURNING id",
        id=vm_id,
        action=action,
        parameters=json.dumps(parameters),
        cancelled=cancelled,
    )
    return str(rows[0]["id"])


async def settled(plane: ControlPlane, operation_id: str) -> Any:
    async def ended() -> Any:
        operation = await plane.ok("GET", f"/operations/{operation_id}")
        return operation if operation["status"] != "running" else None

    return await until(ended)
