"""Open streams by token: only so many, and none for longer than its token is valid.

A stream (events, a console) is let in once and then lives on for days, so its token is looked at again every
few seconds; one that was revoked or has expired loses its streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from qarax_server.api.services import DATABASE
from qarax_server.control.tasks import end
from qarax_server.database import Database
from qarax_server.errors import DatabaseUnavailable, TooManyRequests
from qarax_server.store import tokens
from qarax_server.store.tokens import Token

log = logging.getLogger(__name__)

REVIEW_SECONDS = 2.0
JSON, EVENT_STREAM = "application/json", "text/event-stream"


class Streams:
    """What is open: token id → its requests, VM id → how many read its console."""

    def __init__(self) -> None:
        self._open: dict[str, list[web.Request]] = {}
        self._readers: Counter[str] = Counter()

    @contextlib.contextmanager
    def opened(self, request: web.Request, token: Token, most: int) -> Iterator[None]:
        """Count a stream for as long as its handler runs.

        Raises:
            TooManyRequests: the token has as many as it may have.
        """
        mine = self._open.setdefault(token.id, [])
        if len(mine) >= most:
            message = f"the token {token.name!r} has {most} open streams: close one first"
            raise TooManyRequests(message, code="too_many_streams")
        mine.append(request)
        try:
            yield
        finally:
            mine.remove(request)
            if not mine:
                self._open.pop(token.id, None)

    @contextlib.contextmanager
    def reading(self, vm_id: str, most: int) -> Iterator[None]:
        """Count a reader of a VM's console.

        Raises:
            TooManyRequests: it has as many as it may have.
        """
        if self._readers[vm_id] >= most:
            message = f"{most} are reading this console: the limit is application.readers_per_console"
            raise TooManyRequests(message, code="too_many_readers")
        self._readers[vm_id] += 1
        try:
            yield
        finally:
            self._readers[vm_id] -= 1
            if not self._readers[vm_id]:
                del self._readers[vm_id]

    async def review(self, database: Database) -> None:
        """Cut the streams of tokens that are valid no more."""
        if not self._open:
            return
        async with database.connection() as connection:
            valid = await tokens.list_valid_ids(connection, self._open)
        for token_id in self._open.keys() - valid:
            for request in list(self._open[token_id]):
                log.info("a stream of a token that is valid no more is cut: %s", request.path)
                if request.transport is not None:
                    request.transport.abort()


STREAMS = web.AppKey("streams", Streams)


def is_stream(request: web.Request) -> bool:
    """Whether this request asks for an answer without an end."""
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    return upgrade or accepts_events(request) or "follow" in request.query


def accepts_events(request: web.Request) -> bool:
    """Whether this request asks for an event stream rather than for JSON (RFC 9110, section 12.5.1)."""
    weights: dict[str, float] = {}
    for each in ",".join(request.headers.getall("Accept", [])).split(","):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        weights[kind] = next((_weight(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
    return weights.get(EVENT_STREAM, 0.0) > 0 and weights[EVENT_STREAM] >= weights.get(JSON, 0.0)


def _weight(text: str) -> float:
    """A quality value; what is none counts as none given."""
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 1.0


async def reviewed(app: web.Application) -> AsyncIterator[None]:
    """Review the streams for as long as the application serves (a `cleanup_ctx`)."""
    reviewing = asyncio.create_task(_keep_reviewing(app))
    yield
    await end(reviewing)


async def _keep_reviewing(app: web.Application) -> None:
    while True:
        await asyncio.sleep(REVIEW_SECONDS)
        try:
            await app[STREAMS].review(app[DATABASE])
        except DatabaseUnavailable as error:
            # nothing can be revoked meanwhile either
            log.debug("the tokens of open streams were not looked at: %s", error)
