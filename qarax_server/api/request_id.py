"""The outermost middleware: every request gets an id, and is counted and logged once.

The id is the client's `x-request-id` when it is a sensible one, else a new one; it goes back in the answer,
into the log and, with the caller that `authentication.py` finds, on to events, operations and nodes.
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler

from qarax_server import caller, measures
from qarax_server.api.keys import REQUEST_ID

log = logging.getLogger(__name__)

HEADER = "x-request-id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SENSIBLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id; log and measure its answer."""
    offered = request.headers.get(HEADER, "")
    request_id = offered if _SENSIBLE.fullmatch(offered) else uuid.uuid4().hex
    request[REQUEST_ID] = request_id
    caller.become(caller.Caller("anonymous", request_id))
    began = time.monotonic()
    response = await handler(request)
    seconds = time.monotonic() - began
    route = canonical_route(request)
    method = request.method if request.method in METHODS else "other"
    measures.REQUESTS.labels(method, route, response.status).inc()
    measures.REQUEST_SECONDS.labels(method, route).observe(seconds)
    level = logging.DEBUG if request.method in {"GET", "HEAD"} else logging.INFO
    log.log(level, "%s %s %d %.1f ms", request.method, request.path, response.status, seconds * 1000)
    return response


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id on the answer as its headers go out, streams included."""
    if REQUEST_ID in request:
        response.headers[HEADER] = request[REQUEST_ID]


def canonical_route(request: web.Request) -> str:
    """The route's template (`/vms/{vm_id}`), or `unknown`: a label with few values."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"
