"""`/storage-pools`: directories that images live in.

A pool is a row and a promise: its directory is made by a node when it is first used. Next step: `store`.
"""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import created, json_text, no_content, page_answer
from qarax_server.api.documented import documented, listed, made, nothing, one
from qarax_server.api.keys import BODY, NEW_ID
from qarax_server.api.schemas import NewStoragePool, StoragePool
from qarax_server.api.schemas.queries import ListStoragePools
from qarax_server.api.services import DATABASE
from qarax_server.database import Event
from qarax_server.errors import InUse
from qarax_server.roles import Role
from qarax_server.store import storage_pools

TAG = "storage-pools"
DEFAULT_DIRECTORY = "/var/lib/qarax/pools"

routes = web.RouteTableDef()


@routes.get("/storage-pools")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List storage pools",
    query=ListStoragePools,
    answers={200: listed(StoragePool, "The pools.")},
)
async def list_storage_pools(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    return await page_answer(request, storage_pools.LISTING)


@routes.post("/storage-pools")
@documented(
    tag=TAG,
    operation="create",
    role=Role.ADMIN,
    summary="Make a storage pool known",
    body=NewStoragePool,
    answers={201: made(StoragePool, "the pool")},
    refusals=(409,),
    creates="storage_pool",
)
async def create_storage_pool(request: web.Request) -> web.StreamResponse:
    """Insert the row; no node is contacted."""
    new, pool_id = request[BODY], request[NEW_ID]
    config = new["config"] or {}
    new["config"] = config | {"path": config.get("path") or f"{DEFAULT_DIRECTORY}/{new['name']}"}
    async with request.app[DATABASE].transaction() as tx:
        await storage_pools.insert_storage_pool(tx, pool_id, new)
        text = await storage_pools.get_storage_pool_document(tx, pool_id)
        message = f"storage pool {new['name']} was made at {new['config']['path']}"
        tx.record(Event("create", "storage_pool", pool_id, new["name"], message))
    return created(request, pool_id, text)


@routes.get("/storage-pools/{pool_id}")
@documented(
    tag=TAG,
    operation="get",
    role=Role.VIEWER,
    summary="Get a storage pool",
    answers={200: one(StoragePool, "The pool.")},
)
async def get_storage_pool(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    async with request.app[DATABASE].connection() as connection:
        text = await storage_pools.get_storage_pool_document(connection, request.match_info["pool_id"])
    return json_text(text)


@routes.delete("/storage-pools/{pool_id}")
@documented(
    tag=TAG,
    operation="delete",
    role=Role.ADMIN,
    summary="Forget a storage pool",
    description="Its directory and files stay where they are. A pool with objects is in use.",
    answers={204: nothing("It is forgotten.")},
    refusals=(409,),
)
async def delete_storage_pool(request: web.Request) -> web.StreamResponse:
    """Delete the row, unless something refers to it."""
    pool_id = request.match_info["pool_id"]
    async with request.app[DATABASE].transaction() as tx:
        pool = await storage_pools.get_storage_pool(tx, pool_id, lock=True)
        if users := await storage_pools.list_storage_pool_users(tx, pool_id):
            raise InUse(f"storage pool {pool.name}", users)
        before = await tx.snapshot("storage_pool", pool_id)
        await storage_pools.delete_storage_pool(tx, pool_id)
        message = f"storage pool {pool.name} was deleted; its files stay"
        tx.record(Event("delete", "storage_pool", pool_id, pool.name, message, before=before))
    return no_content()
