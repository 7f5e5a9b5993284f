"""What the framework leaves on a request for its handler."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from qarax_server.roles import Role

REQUEST_ID = web.RequestKey("request_id", str)
BODY: web.RequestKey[Any] = web.RequestKey("body", dict)
"""The validated body, a dict."""
QUERY: web.RequestKey[Any] = web.RequestKey("query", dict)
"""The validated query string, a dict."""
ROLE = web.RequestKey("role", Role)
"""The role of the caller."""
NEW_ID = web.RequestKey("new_id", str)
"""The id of what a POST makes; the same one when the request is repeated under its Idempotency-Key."""
