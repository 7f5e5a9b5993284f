"""`/orphans`: VMs that a node has and nobody here knows. Next step: `control/orphans.py`."""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import json_text, no_content, page_answer
from qarax_server.api.documented import documented, listed, nothing, one
from qarax_server.api.keys import QUERY
from qarax_server.api.schemas import Orphan, Vm
from qarax_server.api.schemas.queries import AdoptOrphan, ListOrphans
from qarax_server.api.services import CORE
from qarax_server.control import orphans as control
from qarax_server.roles import Role
from qarax_server.store import orphans

TAG = "orphans"

routes = web.RouteTableDef()


@routes.get("/orphans")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List the VMs that nodes have and nobody here knows",
    description="They are shown, and touched only by what is asked for here.",
    query=ListOrphans,
    answers={200: listed(Orphan, "The orphans.")},
)
async def list_orphans(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    return await page_answer(request, orphans.LISTING)


@routes.post("/hosts/{host_id}/orphans/{vm_id}/adopt")
@documented(
    tag=TAG,
    operation="adopt",
    role=Role.ADMIN,
    summary="Make an orphan a VM again",
    description="From the spec that its node keeps. The VM goes on as it is; a refusal says what is missing.",
    query=AdoptOrphan,
    answers={200: one(Vm, "The VM.")},
    refusals=(409, 422, 503, 504),
)
async def adopt_orphan(request: web.Request) -> web.StreamResponse:
    """Make the row."""
    text = await control.adopt(request.app[CORE], *_place(request), name=request[QUERY]["name"])
    return json_text(text)


@routes.post("/hosts/{host_id}/orphans/{vm_id}/ignore")
@documented(
    tag=TAG,
    operation="ignore",
    role=Role.ADMIN,
    summary="Leave an orphan as it is",
    answers={200: one(Orphan, "The orphan.")},
)
async def ignore_orphan(request: web.Request) -> web.StreamResponse:
    """Note it."""
    return json_text(await control.ignore(request.app[CORE], *_place(request)))


@routes.delete("/hosts/{host_id}/orphans/{vm_id}")
@documented(
    tag=TAG,
    operation="delete",
    role=Role.ADMIN,
    summary="Delete an orphan from its node",
    description="A running one is ended at once. While the host is away: 503, and its node is told later.",
    answers={204: nothing("It is gone.")},
    refusals=(409, 503, 504),
)
async def delete_orphan(request: web.Request) -> web.StreamResponse:
    """Tell the node."""
    await control.delete(request.app[CORE], *_place(request))
    return no_content()


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["host_id"], request.match_info["vm_id"]
