"""`/operations`: actions in flight and finished."""

from __future__ import annotations

from aiohttp import web

from qarax_server.api.answers import json_text, page_answer
from qarax_server.api.documented import documented, listed, one
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
    return await page_answer(request, operations.LISTING)


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
    description="A stop that waits for its guest ends without force: the VM goes on, unless the guest obeys "
    "after all. A creation that waits for an absent host is undone, a disk in the making removed. The rest "
    "is one call to a node and cannot be taken back: 409 says what to do instead. While the host is away the "
    "answer is still `running`, with `cancel_requested`; it is settled when the host returns.",
    answers={200: one(Operation, "The operation.")},
    refusals=(409, 503, 504),
)
async def cancel_operation(request: web.Request) -> web.StreamResponse:
    """Ask for its end."""
    return json_text(await cancellation.cancel(request.app[CORE], request.match_info["operation_id"]))
