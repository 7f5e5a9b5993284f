"""Answers in the contract's shapes. PostgreSQL writes the JSON; here it is passed on as text."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web
from multidict import MultiDict

from qarax_server.api.schemas.fields import UUID_PATTERN
from qarax_server.errors import Invalid
from qarax_server.store.paging import Key, Listed, Page


def json_text(text: str, status: int = 200) -> web.Response:
    """JSON that is text already."""
    return web.Response(status=status, text=text, content_type="application/json")


def created(request: web.Request, new_id: str, text: str) -> web.Response:
    """201 with Location: the bare id, or the resource when the client prefers that."""
    location = f"{request.path.rstrip('/')}/{new_id}"
    if prefers_representation(request):
        response = json_text(text, 201)
        response.headers["Preference-Applied"] = "return=representation"
    else:
        response = web.Response(status=201, text=new_id, content_type="text/plain")
    response.headers["Location"] = location
    return response


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)


def prefers_representation(request: web.Request) -> bool:
    """Whether one of the preferences (RFC 7240) is `return=representation`."""
    preferences = ",".join(request.headers.getall("Prefer", []))
    return any(
        re.fullmatch(r'return\s*=\s*"?representation"?', each.partition(";")[0].strip(), re.IGNORECASE)
        for each in preferences.split(",")
    )


def page_of(query: Mapping[str, Any]) -> tuple[Page, dict[str, Any]]:
    """Split a validated query string into the page and the filters.

    Raises:
        Invalid: the cursor is none of ours, or belongs to another order.
    """
    filters = dict(query)
    limit, cursor, sort = filters.pop("limit"), filters.pop("cursor"), filters.pop("sort")
    after = _read_cursor(cursor, sort) if cursor else None
    return Page(limit, sort, after), filters


def page_answer(request: web.Request, page: Page, listed: Listed) -> web.Response:
    """A list, with its total and the way to its next page."""
    response = json_text(listed.body)
    response.headers["X-Total-Count"] = str(listed.total)
    if listed.next_key is not None:
        query = MultiDict(request.query)
        query["cursor"] = _write_cursor(listed.next_key, page.sort)
        response.headers["Link"] = f'<{request.rel_url.with_query(query)}>; rel="next"'
    return response


def _write_cursor(key: Key, sort: str) -> str:
    text = json.dumps([sort, key.id, key.name, key.time], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> Key:
    broken = _bad_cursor("it is none of this server's: take it from the Link header")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        written_for, row_id, name, time = map(str, parts)
        datetime.fromisoformat(time)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise broken from None
    if not re.fullmatch(UUID_PATTERN, row_id) or not name.isprintable() or len(parts) != 4:  # noqa: PLR2004
        raise broken
    if written_for != sort:
        raise _bad_cursor(f"it belongs to sort={written_for}, not to sort={sort}")
    return Key(row_id, name, time)


def _bad_cursor(sentence: str) -> Invalid:
    return Invalid(f"cursor: {sentence}", code="bad_cursor", errors={"cursor": [sentence]})
