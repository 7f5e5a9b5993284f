"""Pages and server-sent events as the contract writes them."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


def as_frame(event: dict[str, Any]) -> bytes:
    """One server-sent event."""
    head = f"id: {event['sequence']}\nevent: {event['subject_type']}\n"
    return f"{head}data: {json.dumps(event)}\n\n".encode()


def paged(request: web.Request, rows: list[dict[str, Any]]) -> web.Response:
    """A whole list, or a page of it with the link to the next."""
    headers = {"X-Total-Count": str(len(rows))}
    if "limit" not in request.query:
        return web.json_response(rows, headers=headers)
    limit, start = int(request.query["limit"]), int(request.query.get("cursor", 0))
    if start + limit < len(rows):
        following = request.rel_url.update_query(cursor=str(start + limit))
        headers["Link"] = f'<{following}>; rel="next"'
    return web.json_response(rows[start : start + limit], headers=headers)
