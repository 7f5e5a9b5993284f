"""The events of a control plane in memory, as a page and as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Protocol

from aiohttp import web

from tests.fakes.wire import as_frame


class Recorder(Protocol):
    """Whose events they are; `news` is set with each and then made anew. `heartbeat`: seconds."""

    events: list[dict[str, Any]]
    oldest_kept: int
    heartbeat: float
    news: asyncio.Event


async def serve_events(request: web.Request, recorder: Recorder) -> web.StreamResponse:
    """A page, or a stream for whoever accepts one."""
    if request.headers.get("Accept") != "text/event-stream":
        return _page(request, recorder)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    newest = recorder.events[-1]["sequence"] if recorder.events else recorder.oldest_kept - 1
    sent = int(request.headers.get("Last-Event-ID") or request.query.get("after") or newest)
    hello = {"sequence": sent, "newest": newest, "oldest": recorder.oldest_kept}
    with contextlib.suppress(ConnectionResetError):  # the reader has left
        await response.write(f"event: hello\ndata: {json.dumps(hello)}\n\n".encode())
        await _tell(response, recorder, sent)
    return response


def _page(request: web.Request, recorder: Recorder) -> web.Response:
    after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 1000))
    about = request.query.get("subject_id")
    found = [row for row in recorder.events if about in {None, row["subject_id"]}]
    return web.json_response([row for row in found if row["sequence"] > after][:limit])


async def _tell(response: web.StreamResponse, recorder: Recorder, sent: int) -> None:
    while True:
        news = recorder.news
        if fresh := _after(recorder.events, sent):
            await response.write(b"".join(as_frame(event) for event in fresh))
            sent = fresh[-1]["sequence"]
            continue
        try:
            await asyncio.wait_for(news.wait(), recorder.heartbeat)
        except TimeoutError:
            await response.write(b": heartbeat\n\n")


def _after(events: list[dict[str, Any]], sequence: int) -> list[dict[str, Any]]:
    if not events:
        return []
    return events[max(0, sequence + 1 - events[0]["sequence"]) :][:1000]
