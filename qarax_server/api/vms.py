"""`/vms`: making, changing, driving and deleting VMs. Next step: `control/{creation,lifecycle}.py`."""

from __future__ import annotations

import json

from aiohttp import web

from qarax_server.api.answers import created, json_text, no_content, page_answer
from qarax_server.api.documented import Answer, documented, listed, made, nothing, one
from qarax_server.api.keys import BODY, NEW_ID, QUERY
from qarax_server.api.schemas import NewVm, Placement, UpdateVmRequest, Vm, VmMetrics
from qarax_server.api.schemas.queries import CreateVm, DeleteVm, ListVms, StopVm
from qarax_server.api.services import CORE, DATABASE
from qarax_server.control import creation, inspection, lifecycle, update
from qarax_server.roles import Role
from qarax_server.store import placements, vms

TAG = "vms"

routes = web.RouteTableDef()


@routes.get("/vms")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List VMs",
    query=ListVms,
    answers={200: listed(Vm, "The VMs.")},
)
async def list_vms(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    return await page_answer(request, vms.LISTING)


@routes.post("/vms")
@documented(
    tag=TAG,
    operation="create",
    role=Role.OPERATOR,
    summary="Make a VM",
    description="It is placed on a host and prepared there; nothing runs yet. A refusal for want of room "
    "carries the whole placement table; `?dry_run=true` answers that table and makes nothing.",
    body=NewVm,
    query=CreateVm,
    answers={201: made(Vm, "the VM"), 200: one(Placement, "With `dry_run`: where it would go, and why.")},
    refusals=(409, 503, 504),
    creates="vm",
)
async def create_vm(request: web.Request) -> web.StreamResponse:
    """Make it, or only say where it would go."""
    new, core = creation.new_vm(request[BODY]), request.app[CORE]
    if request[QUERY]["dry_run"]:
        return json_text(json.dumps(await creation.preview(core, new)))
    text = await creation.create(core, request[NEW_ID], new)
    return created(request, request[NEW_ID], text)


@routes.get("/vms/{vm_id}")
@documented(tag=TAG, operation="get", role=Role.VIEWER, summary="Get a VM", answers={200: one(Vm, "The VM.")})
async def get_vm(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    async with request.app[DATABASE].connection() as connection:
        return json_text(await vms.get_vm_document(connection, request.match_info["vm_id"]))


@routes.patch("/vms/{vm_id}")
@documented(
    tag=TAG,
    operation="update",
    role=Role.OPERATOR,
    summary="Change a VM",
    description="Size, boot source, disks and networks only while it is not running.",
    body=UpdateVmRequest,
    answers={200: one(Vm, "The VM.")},
    refusals=(409,),
)
async def update_vm(request: web.Request) -> web.StreamResponse:
    """Change what the body names."""
    return json_text(await update.update(request.app[CORE], request.match_info["vm_id"], request[BODY]))


@routes.delete("/vms/{vm_id}")
@documented(
    tag=TAG,
    operation="delete",
    role=Role.OPERATOR,
    summary="Delete a VM",
    description="A running one is stopped hard first. Takes over whatever else runs on it.",
    query=DeleteVm,
    answers={204: nothing("It is gone.")},
    refusals=(409, 503, 504),
)
async def delete_vm(request: web.Request) -> web.StreamResponse:
    """Remove it from its node, then from the database."""
    force = request[QUERY]["force"]
    await lifecycle.delete(request.app[CORE], request.match_info["vm_id"], force=force)
    return no_content()


def _driven(summary: str) -> dict[str, object]:
    answers: dict[int, Answer] = {200: one(Vm, "The VM, there.")}
    refusals = (409, 422, 503, 504)
    return {
        "tag": TAG,
        "role": Role.OPERATOR,
        "summary": summary,
        "answers": answers,
        "refusals": refusals,
    }


@routes.post("/vms/{vm_id}/start")
@documented(operation="start", **_driven("Start a VM"))  # type: ignore[arg-type]
async def start_vm(request: web.Request) -> web.StreamResponse:
    """Boot it; 200 when it runs."""
    return await _act(request, "start")


@routes.post("/vms/{vm_id}/stop")
@documented(operation="stop", query=StopVm, **_driven("Stop a VM"))  # type: ignore[arg-type]
async def stop_vm(request: web.Request) -> web.StreamResponse:
    """Power button, then force; 200 when it is shut down."""
    return await _act(request, "stop", request[QUERY]["grace"])


@routes.post("/vms/{vm_id}/pause")
@documented(operation="pause", **_driven("Pause a VM"))  # type: ignore[arg-type]
async def pause_vm(request: web.Request) -> web.StreamResponse:
    """Freeze it."""
    return await _act(request, "pause")


@routes.post("/vms/{vm_id}/resume")
@documented(operation="resume", **_driven("Resume a VM"))  # type: ignore[arg-type]
async def resume_vm(request: web.Request) -> web.StreamResponse:
    """Let it go on."""
    return await _act(request, "resume")


@routes.post("/vms/{vm_id}/reboot")
@documented(operation="reboot", **_driven("Reboot a VM"))  # type: ignore[arg-type]
async def reboot_vm(request: web.Request) -> web.StreamResponse:
    """Restart its guest."""
    return await _act(request, "reboot")


@routes.get("/vms/{vm_id}/metrics")
@documented(
    tag=TAG,
    operation="metrics",
    role=Role.VIEWER,
    summary="Get a VM's counters",
    answers={200: one(VmMetrics, "The counters.")},
    refusals=(503, 504),
)
async def get_vm_metrics(request: web.Request) -> web.StreamResponse:
    """Ask its node."""
    return json_text(json.dumps(await inspection.metrics(request.app[CORE], request.match_info["vm_id"])))


@routes.get("/vms/{vm_id}/placement")
@documented(
    tag=TAG,
    operation="placement",
    role=Role.VIEWER,
    summary="Why a VM is where it is",
    answers={200: one(Placement, "Every host, every rule, the numbers.")},
)
async def get_vm_placement(request: web.Request) -> web.StreamResponse:
    """Answer the stored decision."""
    async with request.app[DATABASE].connection() as connection:
        decision = await placements.get_placement(connection, request.match_info["vm_id"])
    return json_text(json.dumps(decision))


async def _act(request: web.Request, action: str, grace: int | None = None) -> web.Response:
    core, vm_id = request.app[CORE], request.match_info["vm_id"]
    return json_text(await lifecycle.act(core, action, vm_id, grace))
