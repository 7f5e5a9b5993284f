"""The OpenAPI document at `/api-docs/openapi.json` and Swagger UI at `/swagger-ui`, from this machine alone.

Swagger UI's files come from the swagger-ui-py wheel. Its page is ours: no inline script, so that the content
security policy can forbid them, and no look at the query string, so that `?url=` leads nowhere.
"""

from __future__ import annotations

import importlib.resources
import json
from functools import cache

from aiohttp import web

from qarax_server.api import openapi
from qarax_server.api.answers import json_text
from qarax_server.api.documented import Answer, documented, plain
from qarax_server.api.schemas.queries import AnyQuery
from qarax_server.errors import NotFound
from qarax_server.roles import Role

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>qarax API</title>
<link rel="stylesheet" href="/swagger-ui/swagger-ui.css">
<link rel="icon" type="image/png" href="/swagger-ui/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/swagger-ui/start.js"></script>
</body>
</html>
"""
START = """"use strict";
SwaggerUIBundle({
  url: "/api-docs/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  queryConfigEnabled: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""

DOCUMENT: web.AppKey[str] = web.AppKey("openapi_document", str)

routes = web.RouteTableDef()


@routes.get("/api-docs/openapi.json")
@documented(
    tag="server",
    operation="openapi",
    role=Role.ANYONE,
    summary="This document",
    query=AnyQuery,
    answers={200: Answer("OpenAPI 3.1.", {"application/json": {"schema": {"type": "object"}}})},
)
async def get_document(request: web.Request) -> web.StreamResponse:
    """Answer the document."""
    return json_text(request.app[DOCUMENT])


@routes.get("/swagger-ui")
@documented(
    tag="server",
    operation="swagger_ui",
    role=Role.ANYONE,
    summary="Swagger UI",
    query=AnyQuery,
    answers={200: plain("The page.", PAGE, "text/html")},
)
async def get_page(_: web.Request) -> web.StreamResponse:
    """Answer the page."""
    return _file(PAGE.encode(), "text/html")


@routes.get("/swagger-ui/{file:.*}")
@documented(
    tag="server",
    operation="swagger_ui_file",
    role=Role.ANYONE,
    summary="A file of Swagger UI's page",
    query=AnyQuery,
    answers={
        200: Answer(
            "The file.", {kind: {"schema": {"type": "string"}} for kind in ("text/html", *FILES.values())}
        )
    },
)
async def get_file(request: web.Request) -> web.StreamResponse:
    """Answer one of the page's files; the page itself for an empty name."""
    name = request.match_info["file"]
    if not name:
        return _file(PAGE.encode(), "text/html")
    if name == "start.js":
        return _file(START.encode(), "text/javascript")
    if name not in FILES:
        raise NotFound("Swagger UI has no such file", code="no_such_route")
    return _file(_bundled(name), FILES[name])


def prepare(app: web.Application) -> None:
    """Write the document once all routes are there."""
    app[DOCUMENT] = json.dumps(openapi.write(app))


@cache
def _bundled(name: str) -> bytes:
    return (importlib.resources.files("swagger_ui") / "static" / name).read_bytes()


def _file(content: bytes, content_type: str) -> web.Response:
    text = content_type.startswith("text/")
    response = web.Response(body=content, content_type=content_type, charset="utf-8" if text else None)
    response.headers["Content-Security-Policy"] = POLICY
    return response
