"""`/hosts`: the machines. Registering is a row; setting up asks the node. Next step: `control/monitor.py`."""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import created, json_text, no_content, page_answer
from qarax_server.api.documented import documented, listed, made, nothing, one
from qarax_server.api.keys import BODY, NEW_ID
from qarax_server.api.schemas import Host, NewHost, UpdateHostRequest
from qarax_server.api.schemas.queries import ListHosts
from qarax_server.api.services import CORE, DATABASE, SETTINGS
from qarax_server.control.deployment import deployments
from qarax_server.control.monitor import Monitor
from qarax_server.control.networks import check_address
from qarax_server.database import Event
from qarax_server.errors import InUse, Invalid
from qarax_server.roles import Role
from qarax_server.ssh import keys
from qarax_server.store import hosts

TAG = "hosts"
ANSWER_SECONDS = 3.0
MONITOR = web.AppKey("monitor", Monitor)

routes = web.RouteTableDef()


@routes.get("/hosts")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List hosts",
    query=ListHosts,
    answers={200: listed(Host, "The hosts.")},
)
async def list_hosts(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    return await page_answer(request, hosts.LISTING)


@routes.post("/hosts")
@documented(
    tag=TAG,
    operation="create",
    role=Role.ADMIN,
    summary="Register a host",
    description="Nobody is contacted: the host is `down` until it is set `up`.",
    body=NewHost,
    answers={201: made(Host, "the host")},
    refusals=(409,),
    creates="host",
)
async def create_host(request: web.Request) -> web.StreamResponse:
    """Insert the row."""
    new, host_id = request[BODY], request[NEW_ID]
    request.app[CORE].lease.require()
    await check_address(new["address"], request.app[SETTINGS].application.allowed_networks)
    async with request.app[DATABASE].transaction() as tx:
        await hosts.insert_host(tx, host_id, new)
        text = await hosts.get_host_document(tx, host_id)
        message = f"host {new['name']} was registered at {new['address']}:{new['port']}"
        tx.record(Event("create", "host", host_id, new["name"], message))
    return created(request, host_id, text)


@routes.get("/hosts/{host_id}")
@documented(
    tag=TAG, operation="get", role=Role.VIEWER, summary="Get a host", answers={200: one(Host, "The host.")}
)
async def get_host(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    async with request.app[DATABASE].connection() as connection:
        return json_text(await hosts.get_host_document(connection, request.match_info["host_id"]))


@routes.patch("/hosts/{host_id}")
@documented(
    tag=TAG,
    operation="update",
    role=Role.ADMIN,
    summary="Set a host up or down, or change where it is",
    description="`up` asks its node at once: the host is `up` when it answers, `unknown` while it does not.",
    body=UpdateHostRequest,
    answers={200: one(Host, "The host.")},
    refusals=(409,),
)
async def update_host(request: web.Request) -> web.StreamResponse:
    """Change the row, then let the monitor ask the node."""
    host_id, changes = request.match_info["host_id"], dict(request[BODY])
    request.app[CORE].lease.require()
    status = changes.pop("status", None)
    admitted = None if status is None else status == "up"
    if "address" in changes:
        await check_address(changes["address"], request.app[SETTINGS].application.allowed_networks)
    check_host_key(changes.get("ssh_host_key"))
    async with request.app[DATABASE].transaction() as tx:
        await hosts.lock_host(tx, host_id)
        await deployments.require_idle(tx, host_id)
        before = await tx.snapshot("host", host_id)
        host = await hosts.update_host(tx, host_id, admitted=admitted, **changes)
        what = f"was set {status}" if status else "was changed"
        tx.record(Event("update", "host", host_id, host.name, f"host {host.name} {what}", before=before))
    await request.app[MONITOR].ask(host_id, ANSWER_SECONDS)
    async with request.app[DATABASE].connection() as connection:
        return json_text(await hosts.get_host_document(connection, host_id))


@routes.delete("/hosts/{host_id}")
@documented(
    tag=TAG,
    operation="delete",
    role=Role.ADMIN,
    summary="Forget a host",
    description="A host with VMs, storage pools or files of its own stays; the refusal names them.",
    answers={204: nothing("It is forgotten.")},
    refusals=(409,),
)
async def delete_host(request: web.Request) -> web.StreamResponse:
    """Delete the row, unless something is on the host."""
    host_id = request.match_info["host_id"]
    request.app[CORE].lease.require()
    async with request.app[DATABASE].transaction() as tx:
        host = await hosts.lock_host(tx, host_id)
        await deployments.require_idle(tx, host_id)
        if users := await hosts.list_host_users(tx, host_id):
            raise InUse(f"host {host.name}", users)
        before = await tx.snapshot("host", host_id)
        name = await hosts.delete_host(tx, host_id)
        tx.record(Event("delete", "host", host_id, name, f"host {name} was forgotten", before=before))
    await request.app[MONITOR].drop(host_id)
    return no_content()


def check_host_key(key: str | None) -> None:
    """Refuse what only looks like a public key."""
    try:
        if key:
            keys.read(key)
    except ValueError as error:
        sentence = f"It is {error}: take the line from the host's /etc/ssh/ssh_host_ed25519_key.pub."
        raise Invalid(f"ssh_host_key: {sentence}", errors={"ssh_host_key": [sentence]}) from error
