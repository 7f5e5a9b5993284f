"""`/storage-objects`: files in pools that qarax knows by name. Next step: `control/storage_objects.py`."""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import created, json_text, no_content, page_answer
from qarax_server.api.documented import documented, listed, made, nothing, one
from qarax_server.api.keys import BODY, NEW_ID, QUERY
from qarax_server.api.schemas import NewStorageObject, StorageObject
from qarax_server.api.schemas.queries import DeleteStorageObject, ListStorageObjects
from qarax_server.api.services import CORE, DATABASE
from qarax_server.control import storage_objects as control
from qarax_server.roles import Role
from qarax_server.store import storage_objects

TAG = "storage-objects"

routes = web.RouteTableDef()


@routes.get("/storage-objects")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List storage objects",
    query=ListStorageObjects,
    answers={200: listed(StorageObject, "The objects.")},
)
async def list_storage_objects(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    return await page_answer(request, storage_objects.LISTING)


@routes.post("/storage-objects")
@documented(
    tag=TAG,
    operation="create",
    role=Role.OPERATOR,
    summary="Make a file of a pool known",
    description="The file is looked at on a host that has the pool when one is up, else when it is used.",
    body=NewStorageObject,
    answers={201: made(StorageObject, "the object")},
    refusals=(409, 504),
    creates="storage_object",
)
async def create_storage_object(request: web.Request) -> web.StreamResponse:
    """Check the file, insert the row."""
    object_id = request[NEW_ID]
    text = await control.create(request.app[CORE], object_id, request[BODY])
    return created(request, object_id, text)


@routes.get("/storage-objects/{object_id}")
@documented(
    tag=TAG,
    operation="get",
    role=Role.VIEWER,
    summary="Get a storage object",
    answers={200: one(StorageObject, "The object.")},
)
async def get_storage_object(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    async with request.app[DATABASE].connection() as connection:
        text = await storage_objects.get_storage_object_document(connection, request.match_info["object_id"])
    return json_text(text)


@routes.delete("/storage-objects/{object_id}")
@documented(
    tag=TAG,
    operation="delete",
    role=Role.OPERATOR,
    summary="Forget a storage object",
    description="Its file stays, unless `delete_file=true`. An object in use is not deleted.",
    query=DeleteStorageObject,
    answers={204: nothing("It is forgotten.")},
    refusals=(409, 504),
)
async def delete_storage_object(request: web.Request) -> web.StreamResponse:
    """Delete the row, perhaps the file."""
    with_file = request[QUERY]["delete_file"]
    await control.delete(request.app[CORE], request.match_info["object_id"], with_file=with_file)
    return no_content()
