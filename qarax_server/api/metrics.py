"""`/metrics`: the registry of `measures.py`, and what the database counts at that moment."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from qarax_server import measures
from qarax_server.api.documented import documented, plain
from qarax_server.api.schemas.queries import AnyQuery
from qarax_server.api.services import DATABASE
from qarax_server.errors import DatabaseUnavailable
from qarax_server.roles import Role
from qarax_server.store import metrics

routes = web.RouteTableDef()


@routes.get("/metrics")
@documented(
    tag="server",
    operation="metrics",
    role=Role.VIEWER,
    summary="Figures for Prometheus",
    query=AnyQuery,
    description="While PostgreSQL is away, without what only it can count.",
    answers={200: plain("The figures.", "qarax_http_requests_total 1.0\n")},
)
async def get_metrics(request: web.Request) -> web.StreamResponse:
    """Answer the registry."""
    measures.TASKS.set(len(asyncio.all_tasks()))
    measures.RESOURCES.clear()
    try:
        async with request.app[DATABASE].connection() as connection:
            for kind, status, amount in await metrics.list_figures(connection):
                measures.RESOURCES.labels(kind, status).set(amount)
    except DatabaseUnavailable:
        # a scrape says what it can: the absence of these figures is the message
        measures.RESOURCES.clear()
    body = generate_latest(measures.REGISTRY)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
