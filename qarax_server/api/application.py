"""The REST application: middlewares, routes and conventions, put together.

The composition root makes it, sets the `services`, and serves it. Adding a noun: its module's `routes` here.
"""

from __future__ import annotations

from aiohttp import web

from qarax_server.api import (
    authentication,
    boot_sources,
    console,
    conventions,
    deployments,
    documents,
    errors,
    events,
    hosts,
    idempotency,
    metrics,
    operations,
    orphans,
    request_id,
    storage_objects,
    storage_pools,
    streams,
    system,
    transfers,
    vms,
)
from qarax_server.api.json_body import LONGEST_BODY

NOUNS = (
    hosts,
    deployments,
    storage_pools,
    transfers,
    storage_objects,
    boot_sources,
    vms,
    orphans,
    console,
    operations,
    events,
)


def make_application() -> web.Application:
    """Make the application; handlers expect `services` to be set before the first request."""
    app = web.Application(
        middlewares=[
            request_id.identified,
            errors.answered_errors,
            conventions.guarded,
            authentication.authenticated,
        ],
        client_max_size=LONGEST_BODY,
    )
    app.on_response_prepare.append(request_id.stamp)
    app.on_response_prepare.append(conventions.secure)
    app[idempotency.RUNNING] = {}
    app[streams.STREAMS] = streams.Streams()
    app.cleanup_ctx.append(streams.reviewed)
    app[authentication.GATE] = authentication.Gate()
    for module in (*NOUNS, system, metrics, documents):
        app.add_routes(module.routes)
    documents.prepare(app)
    return app
