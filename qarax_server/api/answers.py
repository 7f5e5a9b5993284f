"""Answers in the contract's shapes. PostgreSQL writes the JSON; here it is passed on as text."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import datetime

from aiohttp import web
from multidict import MultiDict

from qarax_server.api.keys import QUERY
from qarax_server.api.schemas.fields import UUID_PATTERN
from qarax_server.api.services import DATABASE
from qarax_server.errors import Invalid
from qarax_server.store.paging import Listing, Page, list_page


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


async def page_answer(request: web.Request, listing: Listing, **filters: str) -> web.Response:
    """A list, whole or a page of it, with its total and the way to its next page.

    Args:
        request: its validated query string holds the page and filters.
        listing: the noun's.
        filters: those that do not come from the query string.

    Raises:
        Invalid: the cursor is none of ours, or belongs to another order.
    """
    wanted = dict(request[QUERY])
    limit, cursor, sort = wanted.pop("limit"), wanted.pop("cursor"), wanted.pop("sort")
    if cursor and limit is None:
        raise _bad_cursor("it comes with a limit, as in the Link header")
    page = Page(limit, sort, _read_cursor(cursor, sort, listing) if cursor else ())
    async with request.app[DATABASE].connection() as connection:
        found = await list_page(connection, listing, page, wanted | filters)
    response = json_text(found.body)
    response.headers["X-Total-Count"] = str(found.total)
    if found.next_key:
        link_next(request, response, cursor=_write_cursor(found.next_key, sort))
    return response


def link_next(request: web.Request, response: web.Response, **parameters: str) -> None:
    """Say where the next page is: at the same address with these parameters changed."""
    query = MultiDict(request.query)
    query.update(parameters)
    response.headers["Link"] = f'<{request.rel_url.with_query(query)}>; rel="next"'


def _write_cursor(key: Sequence[str], sort: str) -> str:
    text = json.dumps([sort, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str, listing: Listing) -> tuple[str, ...]:
    broken = _bad_cursor("it is none of this server's: take it from the Link header")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        written_for, *key = map(str, json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)))
        if not written_for.endswith("name"):
            datetime.fromisoformat(key[0])
    except (binascii.Error, ValueError, TypeError, IndexError, RecursionError):
        raise broken from None
    ids = [each for each in key[1:] if re.fullmatch(UUID_PATTERN, each)]
    if len(key) != 1 + len(listing.ids) or len(ids) != len(listing.ids) or not key[0].isprintable():
        raise broken
    if written_for != sort:
        raise _bad_cursor(f"it belongs to sort={written_for}, not to sort={sort}")
    return tuple(key)


def _bad_cursor(sentence: str) -> Invalid:
    return Invalid(f"cursor: {sentence}", code="bad_cursor", errors={"cursor": [sentence]})
