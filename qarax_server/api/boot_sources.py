"""`/boot-sources`: kernel, initrd and command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from qarax_server.api.answers import created, json_text, no_content, page_answer
from qarax_server.api.documented import documented, listed, made, nothing, one
from qarax_server.api.keys import BODY, NEW_ID
from qarax_server.api.schemas import BootSource, NewBootSource
from qarax_server.api.schemas.queries import Page
from qarax_server.api.services import DATABASE
from qarax_server.database import Event, Transaction
from qarax_server.errors import InUse, Invalid, NotFound
from qarax_server.roles import Role
from qarax_server.store import boot_sources, storage_objects

TAG = "boot-sources"

routes = web.RouteTableDef()


@routes.get("/boot-sources")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List boot sources",
    query=Page,
    answers={200: listed(BootSource, "The boot sources.")},
)
async def list_boot_sources(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    return await page_answer(request, boot_sources.LISTING)


@routes.post("/boot-sources")
@documented(
    tag=TAG,
    operation="create",
    role=Role.OPERATOR,
    summary="Make a boot source",
    body=NewBootSource,
    answers={201: made(BootSource, "the boot source")},
    refusals=(409,),
    creates="boot_source",
)
async def create_boot_source(request: web.Request) -> web.StreamResponse:
    """Insert the row when its images are what they should be."""
    new, boot_source_id = request[BODY], request[NEW_ID]
    async with request.app[DATABASE].transaction() as tx:
        await _check_images(tx, new)
        await boot_sources.insert_boot_source(tx, boot_source_id, new)
        text = await boot_sources.get_boot_source_document(tx, boot_source_id)
        message = f"boot source {new['name']} was made"
        tx.record(Event("create", "boot_source", boot_source_id, new["name"], message))
    return created(request, boot_source_id, text)


@routes.get("/boot-sources/{boot_source_id}")
@documented(
    tag=TAG,
    operation="get",
    role=Role.VIEWER,
    summary="Get a boot source",
    answers={200: one(BootSource, "The boot source.")},
)
async def get_boot_source(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    boot_source_id = request.match_info["boot_source_id"]
    async with request.app[DATABASE].connection() as connection:
        return json_text(await boot_sources.get_boot_source_document(connection, boot_source_id))


@routes.delete("/boot-sources/{boot_source_id}")
@documented(
    tag=TAG,
    operation="delete",
    role=Role.OPERATOR,
    summary="Forget a boot source",
    description="Its images stay. A boot source that VMs use stays; the refusal names them.",
    answers={204: nothing("It is forgotten.")},
    refusals=(409,),
)
async def delete_boot_source(request: web.Request) -> web.StreamResponse:
    """Delete the row, unless VMs use it."""
    boot_source_id = request.match_info["boot_source_id"]
    async with request.app[DATABASE].transaction() as tx:
        found = await boot_sources.lock_boot_source(tx, boot_source_id)
        if users := await boot_sources.list_boot_source_users(tx, boot_source_id):
            raise InUse(f"boot source {found.name}", users)
        before = await tx.snapshot("boot_source", boot_source_id)
        await boot_sources.delete_boot_source(tx, boot_source_id)
        message = f"boot source {found.name} was deleted"
        tx.record(Event("delete", "boot_source", boot_source_id, found.name, message, before=before))
    return no_content()


async def _check_images(tx: Transaction, new: Mapping[str, Any]) -> None:
    """The kernel is an object of type kernel, the initrd one of type initrd."""
    errors = {}
    for kind in ("kernel", "initrd"):
        field = f"{kind}_image_id"
        if new[field] is None:
            continue
        try:
            found = await storage_objects.get_storage_object(tx, new[field])
        except NotFound as error:
            errors[field] = [error.message]
            continue
        if found.object_type != kind:
            errors[field] = [
                f"{found.name} is of type {found.object_type}: an object of type {kind} is needed"
            ]
    if errors:
        raise Invalid("; ".join(f"{field}: {texts[0]}" for field, texts in errors.items()), errors=errors)
