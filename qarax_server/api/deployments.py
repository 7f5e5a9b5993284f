"""`POST /hosts/{host_id}/deploy`: from a machine to a host. Next: `control/deployment/deployments.py`."""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import json_text
from qarax_server.api.documented import documented, one
from qarax_server.api.hosts import TAG
from qarax_server.api.keys import BODY, NEW_ID
from qarax_server.api.schemas import DeployHostRequest, Operation
from qarax_server.api.services import DEPLOYMENTS
from qarax_server.roles import Role

DESCRIPTION = """\
`direct` logs in over SSH and installs a release beside the one that runs; `bootc` has the machine boot
another image. The host is `installing`, then `initializing`, and `up` when its node answers with that
version, or `installation_failed`. The operation's `progress` has the steps, the log of the commands, and what
failed with its output. Repeated, it changes only what is missing; VMs go on, but for a reboot of `bootc` with
`force`. The host's SSH key is kept at the first login, shown in the operation, and nobody else is logged into
afterwards."""

routes = web.RouteTableDef()


@routes.post("/hosts/{host_id}/deploy")
@documented(
    tag=TAG,
    operation="deploy",
    role=Role.ADMIN,
    summary="Install or upgrade the agent of a host",
    description=DESCRIPTION,
    body=DeployHostRequest,
    body_may_be_empty=True,
    answers={202: one(Operation, "It is under way.")},
    refusals=(409,),
    creates="operation",
)
async def deploy_host(request: web.Request) -> web.StreamResponse:
    """Begin it, answer the operation."""
    host_id = request.match_info["host_id"]
    text = await request.app[DEPLOYMENTS].create(host_id, request[NEW_ID], request[BODY])
    response = json_text(text, 202)
    response.headers["Location"] = f"/operations/{request[NEW_ID]}"
    return response
