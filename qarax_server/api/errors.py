"""The one place where errors become HTTP.

A domain error's class decides the status, its text goes out as it is. Whatever else escapes a handler is a
defect: it is logged with its traceback and answered with a 500 that carries nothing but the request id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from qarax_server import errors as tree
from qarax_server.api.keys import REQUEST_ID

log = logging.getLogger(__name__)

STATUSES: Mapping[type[tree.QaraxError], int] = {
    tree.BadRequest: 400,
    tree.Unauthorized: 401,
    tree.Forbidden: 403,
    tree.NotFound: 404,
    tree.Conflict: 409,
    tree.TooSlow: 408,
    tree.TooLarge: 413,
    tree.Invalid: 422,
    tree.TooManyRequests: 429,
    tree.Unavailable: 503,
    tree.NodeTimeout: 504,
}
MORE_DETAILS = ("operation", "placement")


@web.middleware
async def answered_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as JSON."""
    try:
        return await handler(request)
    except tree.QaraxError as error:
        return error_answer(request, error)
    except web.HTTPException as error:
        return _http_answer(request, error)
    except ConnectionError:
        raise  # nobody is left to be answered
    except Exception:
        log.exception("%s %s failed [%s]", request.method, request.path, request.get(REQUEST_ID, ""))
        return _answer(
            request, 500, "the server made an error; its log says more under this request id", "internal"
        )


def error_answer(request: web.Request, error: tree.QaraxError) -> web.Response:
    """A domain error as HTTP."""
    status = status_of(error)
    if status == 500:  # noqa: PLR2004
        log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    response = _answer(request, status, error.message, error.code, errors=error.errors, details=error.details)
    if isinstance(error, tree.Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="qarax"'
    if isinstance(error, tree.TooSlow):
        response.force_close()
    if isinstance(error, tree.Unavailable | tree.TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def status_of(error: tree.QaraxError) -> int:
    """The HTTP status of the nearest class that has one."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def _http_answer(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp itself refuses, in our shape: unknown routes, wrong methods."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allow = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": allow})
        sentence = f"{request.method} is not allowed here: {allow}"
        response = _answer(request, 405, sentence, "method_not_allowed")
        response.headers["Allow"] = allow
        return response
    if error.status < 400:  # noqa: PLR2004 - a redirect is an answer
        return error
    if error.status == 404:  # noqa: PLR2004
        return _answer(request, 404, "no such address: /api-docs/openapi.json lists all", "no_such_route")
    return _answer(request, error.status, error.reason.lower(), error.reason.lower().replace(" ", "_"))


def _answer(
    request: web.Request,
    status: int,
    message: str,
    code: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    details: Mapping[str, Any] | None = None,
) -> web.Response:
    body: dict[str, Any] = {"message": message, "code": code, "request_id": request.get(REQUEST_ID, "")}
    if errors:
        body["errors"] = errors
    body |= {name: value for name, value in (details or {}).items() if name in MORE_DETAILS}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
