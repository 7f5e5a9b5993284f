"""`/storage-pools/{pool_id}/transfers` and `/disks`: files that nodes bring or make.

Next step: `control/transfers.py`, `control/disks.py`.
"""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import json_text, page_answer
from qarax_server.api.documented import documented, listed, one
from qarax_server.api.keys import BODY, NEW_ID
from qarax_server.api.schemas import NewDisk, NewTransfer, Operation, Transfer
from qarax_server.api.schemas.queries import ListTransfers
from qarax_server.api.schemas.storage import transfer_type
from qarax_server.api.services import DATABASE, DISKS, TRANSFERS
from qarax_server.roles import Role
from qarax_server.store import storage_pools, transfers

TAG = "transfers"

routes = web.RouteTableDef()


@routes.get("/storage-pools/{pool_id}/transfers")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List a pool's transfers",
    query=ListTransfers,
    answers={200: listed(Transfer, "The transfers.")},
)
async def list_transfers(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    pool_id = request.match_info["pool_id"]
    async with request.app[DATABASE].connection() as connection:
        await storage_pools.get_storage_pool(connection, pool_id)
    return await page_answer(request, transfers.LISTING, pool_id=pool_id)


@routes.post("/storage-pools/{pool_id}/transfers")
@documented(
    tag=TAG,
    operation="create",
    role=Role.OPERATOR,
    summary="Bring a file into a pool",
    description="`http://` and `https://` sources are downloaded, any other is copied on the pool's host. "
    "A storage object appears when the file is in place.",
    body=NewTransfer,
    answers={202: one(Transfer, "It is noted and will be carried.")},
    refusals=(409,),
    creates="transfer",
)
async def create_transfer(request: web.Request) -> web.StreamResponse:
    """Note it, begin it, answer."""
    new = request[BODY] | {"transfer_type": transfer_type(request[BODY]["source"])}
    text = await request.app[TRANSFERS].create(request.match_info["pool_id"], request[NEW_ID], new)
    response = json_text(text, 202)
    response.headers["Location"] = f"{request.path}/{request[NEW_ID]}"
    return response


@routes.get("/storage-pools/{pool_id}/transfers/{transfer_id}")
@documented(
    tag=TAG,
    operation="get",
    role=Role.VIEWER,
    summary="Get a transfer",
    answers={200: one(Transfer, "The transfer.")},
)
async def get_transfer(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    ids = request.match_info
    async with request.app[DATABASE].connection() as connection:
        text = await transfers.get_transfer_document(connection, ids["pool_id"], ids["transfer_id"])
    return json_text(text)


@routes.post("/storage-pools/{pool_id}/transfers/{transfer_id}/cancel")
@documented(
    tag=TAG,
    operation="cancel",
    role=Role.OPERATOR,
    summary="Cancel a transfer",
    description="It is failed then, with that message, and nothing of its file is left.",
    answers={200: one(Transfer, "It is cancelled.")},
)
async def cancel_transfer(request: web.Request) -> web.StreamResponse:
    """End it."""
    ids = request.match_info
    return json_text(await request.app[TRANSFERS].cancel(ids["pool_id"], ids["transfer_id"]))


@routes.post("/storage-pools/{pool_id}/disks")
@documented(
    tag="storage-pools",
    operation="create_disk",
    role=Role.OPERATOR,
    summary="Make a disk in a pool",
    description="Blank, or a clone of a storage object. The operation's subject is the object to be.",
    body=NewDisk,
    answers={202: one(Operation, "It is being made.")},
    refusals=(409, 504),
    creates="operation",
)
async def create_disk(request: web.Request) -> web.StreamResponse:
    """Begin it, answer the operation."""
    text = await request.app[DISKS].create(request.match_info["pool_id"], request[NEW_ID], request[BODY])
    response = json_text(text, 202)
    response.headers["Location"] = f"/operations/{request[NEW_ID]}"
    return response
