"""Looking at a VM on its node: counters and console."""

from __future__ import annotations

from typing import Any

from qarax_server.control.core import Core
from qarax_server.errors import NodeUnavailable
from qarax_server.nodes.client import NodeClient
from qarax_server.store import hosts, vms


async def metrics(core: Core, vm_id: str) -> dict[str, Any]:
    """Return a VM's counters as its metrics answer; empty while nothing runs."""
    async with core.database.connection() as c:
        vm = await vms.get_vm(c, vm_id)
    figures: dict[str, Any] = {"counters": {}, "memory_actual_size": None}
    if vm.shown_status in {"running", "paused"}:
        figures = await (await node_of(core, vm_id)).get_counters(vm_id)
    return {"vm_id": vm_id, "status": vm.shown_status, **figures}


async def node_of(core: Core, vm_id: str) -> NodeClient:
    """Return the node of a VM's host, or raise NodeUnavailable at once when it does not answer."""
    async with core.database.connection() as c:
        vm = await vms.get_vm(c, vm_id)
        host = await hosts.get_host(c, vm.host_id)
    if not host.reachable:
        raise NodeUnavailable(f"host {host.name} does not answer: {host.status_reason or 'try again later'}")
    return core.nodes.of(host)
