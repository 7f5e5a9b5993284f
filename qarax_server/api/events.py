"""`/events`: the flight recorder, as a page or as a stream. Next step: `control/feed.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from aiohttp import web

from qarax_server.api.answers import json_text, link_next
from qarax_server.api.documented import documented, listed
from qarax_server.api.keys import QUERY
from qarax_server.api.schemas import Event
from qarax_server.api.schemas.queries import ListEvents
from qarax_server.api.services import DATABASE
from qarax_server.api.streams import EVENT_STREAM, accepts_events
from qarax_server.control.feed import Feed
from qarax_server.control.tasks import end
from qarax_server.errors import Invalid
from qarax_server.roles import Role
from qarax_server.store import events
from qarax_server.store.events import Row

TAG = "events"
HEARTBEAT_SECONDS = 10.0
FEED = web.AppKey("feed", Feed)
HELLO = 'event: hello\ndata: {"sequence": 42, "newest": 42, "oldest": 1}\n\n'
PAGE = listed(Event, "A page, or with `Accept: text/event-stream` a stream that resumes by `Last-Event-ID`.")
BOTH = replace(
    PAGE,
    content={
        **PAGE.content,
        EVENT_STREAM: {"schema": {"type": "string"}, "example": HELLO},
    },
    headers={"Link": PAGE.headers["Link"]},
)

routes = web.RouteTableDef()


@routes.get("/events", allow_head=False)
@documented(
    tag=TAG,
    operation="list",
    role=Role.VIEWER,
    summary="Read the flight recorder",
    description="Every change of every resource, in the order of commits.",
    query=ListEvents,
    answers={200: BOTH},
    parameters=(
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "Of a stream: the last number seen.",
            "schema": {"type": "string"},
        },
    ),
)
async def list_events(request: web.Request) -> web.StreamResponse:
    """Answer a page, or stream."""
    query = request[QUERY]
    if accepts_events(request):
        return await _stream(request)
    async with request.app[DATABASE].connection() as connection:
        rows = await events.list_events_after(
            connection, query["after"] or 0, query["limit"], query["subject_id"], query["subject_type"]
        )
    response = json_text(f"[{','.join(row.document for row in rows)}]")
    if len(rows) == query["limit"]:
        link_next(request, response, after=str(rows[-1].sequence))
    return response


async def _stream(request: web.Request) -> web.StreamResponse:
    """Send events as they commit; end when the reader is too slow, for it to come back."""
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store"})
    rows = request.app[FEED].follow(_position(request))
    first = await anext(rows)
    await response.prepare(request)
    await response.write(f"event: hello\ndata: {first.document}\n\n".encode())
    pending = asyncio.create_task(_next(rows))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT_SECONDS)
            if not done:
                await response.write(b": heartbeat\n\n")
                continue
            row = pending.result()
            if row is None:
                return response
            if _wanted(request, row):
                await response.write(_frame(row))
            pending = asyncio.create_task(_next(rows))
    except ConnectionError:
        return response
    finally:
        await end(pending)
        await rows.aclose()


async def _next(rows: AsyncGenerator[Row, None]) -> Row | None:
    return await anext(rows, None)


def _position(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID")
    if text is None:
        after: int | None = request[QUERY]["after"]
        return after
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 - a bigint
        sentence = "the number of an event this server has sent"
        raise Invalid(f"Last-Event-ID: {sentence}", errors={"Last-Event-ID": [sentence]})
    return int(text)


def _wanted(request: web.Request, row: Row) -> bool:
    kind = request[QUERY]["subject_type"]
    subject = request[QUERY]["subject_id"]
    return kind in {None, row.subject_type} and subject in {None, row.subject_id}


def _frame(row: Row) -> bytes:
    return f"id: {row.sequence}\nevent: {row.subject_type}\ndata: {row.document}\n\n".encode()
