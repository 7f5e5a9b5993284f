"""`/operations`: actions in flight and finished."""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import json_text, page_answer, page_of
from qarax_server.api.documented import documented, listed, one
from qarax_server.api.keys import QUERY
from qarax_server.api.schemas import Operation
from qarax_server.api.schemas.queries import ListOperations
from qarax_server.api.services import CORE, DATABASE
from qarax_server.control import cancellation
from qarax_server.roles import Role
from qarax_server.store import operations

TAG = "operations"

routes = web.RouteTableDef()


@routes.get("/operations")
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="List operations, newest first",
    query=ListOperations,
    answers={200: listed(Operation, "The operations.")},
)
async def list_operations(request: web.Request) -> web.StreamResponse:
    """Answer a page or all."""
    page, filters = page_of(request[QUERY])
    async with request.app[DATABASE].connection() as connection:
        found = await operations.list_operations_page(connection, page, **filters)
    return page_answer(request, page, found)


@routes.get("/operations/{operation_id}")
@documented(
    tag=TAG,
    operation="get",
    role=Role.VIEWER,
    summary="Get an operation",
    answers={200: one(Operation, "The operation.")},
)
async def get_operation(request: web.Request) -> web.StreamResponse:
    """Answer one."""
    async with request.app[DATABASE].connection() as connection:
        return json_text(
            await operations.get_operation_document(connection, request.match_info["operation_id"])
        )


@routes.post("/operations/{operation_id}/cancel")
@documented(
    tag=TAG,
    operation="cancel",
    role=Role.OPERATOR,
    summary="Cancel an operation",
    description="A stop can be shortened but not taken back; what cannot be cancelled is refused.",
    answers={200: one(Operation, "The operation.")},
    refusals=(409,),
)
async def cancel_operation(request: web.Request) -> web.StreamResponse:
    """Ask for its end."""
    return json_text(await cancellation.cancel(request.app[CORE], request.match_info["operation_id"]))
