"""What is served about the server itself: its name, whether it lives, whether it is ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from aiohttp import web

from qarax_server.api.documented import Answer, documented
from qarax_server.api.schemas.queries import AnyQuery
from qarax_server.roles import Role

TAG = "server"
READY: web.AppKey[Callable[[], Awaitable[None]]] = web.AppKey("ready")
"""Set by the composition root: returns when this server can do its work, else raises what is in the way."""

routes = web.RouteTableDef()


def _json(description: str, example: dict[str, str]) -> Answer:
    members = {name: {"type": "string"} for name in example}
    schema = {"type": "object", "properties": members, "required": list(members)}
    return Answer(description, {"application/json": {"schema": schema, "example": example}})


NAMES = {"name": "qarax", "swagger_ui": "/swagger-ui", "openapi": "/api-docs/openapi.json"}


@routes.get("/")
@documented(
    tag=TAG,
    operation="get",
    role=Role.VIEWER,
    summary="Name the API and its version",
    answers={200: _json("What answers here.", NAMES | {"version": "0.1.0"})},
)
async def get_root(_: web.Request) -> web.StreamResponse:
    """Answer where everything is."""
    return web.json_response(NAMES | {"version": version("qarax")})


@routes.get("/healthz")
@documented(
    tag=TAG,
    operation="health",
    role=Role.ANYONE,
    summary="Whether the process lives",
    query=AnyQuery,
    answers={200: _json("It lives.", {"status": "alive"})},
)
async def get_health(_: web.Request) -> web.StreamResponse:
    """Answer without looking at anything else."""
    return web.json_response({"status": "alive"})


@routes.get("/readyz")
@documented(
    tag=TAG,
    operation="ready",
    role=Role.ANYONE,
    summary="Whether the server can do its work",
    query=AnyQuery,
    answers={200: _json("It can.", {"status": "ready"})},
)
async def get_ready(request: web.Request) -> web.StreamResponse:
    """Answer 503 with the reason while it cannot."""
    await request.app[READY]()
    return web.json_response({"status": "ready"})
