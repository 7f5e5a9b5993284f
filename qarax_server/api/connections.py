"""The connections below the requests: how many, how slow a request may arrive, and what is no HTTP at all.

A connection over the limit, one whose headers do not arrive in time and one that speaks something else are
each answered in the shape of every other error, and cost one line in the log and no traceback.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import Counter
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from qarax_server.api.conventions import HEADERS
from qarax_server.settings import Application

log = logging.getLogger(__name__)

IDLE_SECONDS = 75.0
REFUSED_SECONDS = 1.0
"""How long a refused client has to read why, before its connection is cut."""


class Runner(web.AppRunner):
    """Serves an application on connections that are held to `application.connections` and its like."""

    def __init__(self, app: web.Application, limits: Application, **options: Any) -> None:
        super().__init__(app, access_log=None, **options)
        self._limits = limits
        self._door: Door | None = None

    @property
    def server(self) -> Any:
        """What makes the protocol of each connection; sites take it from here."""
        server = super().server
        if self._door is None and server is not None:
            self._door = Door(server, self._limits)
        return self._door


class Door:
    """Counts connections, in all and per client."""

    def __init__(self, server: web.Server, limits: Application) -> None:
        self.limits = limits
        self._server = server
        self._open: Counter[str] = Counter()

    def __call__(self) -> RequestHandler:
        return Connection(self, self._server)

    def enter(self, client: str) -> str:
        """Count a connection; why not, when there are too many."""
        limits = self.limits
        if self._open.total() >= limits.connections:
            return f"{limits.connections} connections are open: try again later"
        if self._open[client] >= limits.connections_per_client:
            return f"{client} has {limits.connections_per_client} connections open: close one first"
        self._open[client] += 1
        return ""

    def leave(self, client: str) -> None:
        """One is closed."""
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]


class Connection(RequestHandler):
    """One of them."""

    def __init__(self, door: Door, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, access_log=None, keepalive_timeout=IDLE_SECONDS)  # type: ignore[arg-type]
        self._door = door
        self._client: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say why not."""
        peer = transport.get_extra_info("peername")
        client = str(peer[0]) if isinstance(peer, tuple) else "a local socket"
        if refusal := self._door.enter(client):
            log.warning("refused a connection of %s: %s", client, refusal)
            self.transport = transport  # type: ignore[assignment]
            self._manager = None
            self._answer_and_leave(503, "Service Unavailable", "too_many_connections", refusal)
            return
        self._client = client
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        if self._client is not None:
            self._door.leave(self._client)
            self._client = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give the headers of each request their time, from their first byte on."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._disarm()
        elif data and self._deadline is None and self._waits():
            self._expect_headers()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as HTTP; anything else is not for here."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        too_long = isinstance(exc, LineTooLong)
        sentence = (
            f"the request line or a header is longer than {self.max_line_size} bytes"
            if too_long
            else f"this is no HTTP request: {' '.join(str(exc.message).split())[:120]!a}"
        )
        log.info("refused a request of %s: %s", self._client, sentence)
        body, headers = _error("header_too_long" if too_long else "bad_http", sentence)
        response = web.Response(status=400, body=body, headers=headers)
        response.force_close()
        return response

    def _waits(self) -> bool:
        """Whether no request is being served: what arrives belongs to the headers of the next."""
        busy = self._current_request is not None or self._messages or self._upgraded
        return not busy and not self._force_close

    def _expect_headers(self) -> None:
        self._deadline = self._loop.call_later(self._door.limits.header_seconds, self._headers_are_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _headers_are_late(self) -> None:
        self._deadline = None
        if self.transport is None or not self._waits():
            return
        seconds = self._door.limits.header_seconds
        log.info("cut a connection of %s: no whole request within %g s", self._client, seconds)
        self._answer_and_leave(
            408, "Request Timeout", "headers_too_slow", f"the request did not arrive within {seconds:g} s"
        )

    def _answer_and_leave(self, status: int, reason: str, code: str, sentence: str) -> None:
        """Answer outside of any request, and cut the connection once that could be read."""
        transport = self.transport
        self._force_close = True
        if not isinstance(transport, asyncio.Transport):
            return
        body, headers = _error(code, sentence)
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""])
        transport.write(head.encode("ascii") + body)
        if transport.can_write_eof():
            transport.write_eof()
        self._loop.call_later(REFUSED_SECONDS, transport.abort)


def _error(code: str, sentence: str) -> tuple[bytes, dict[str, str]]:
    request_id = uuid.uuid4().hex
    body = json.dumps({"message": sentence, "code": code, "request_id": request_id}).encode()
    retry = {"Retry-After": "5"} if code == "too_many_connections" else {}
    return body, {"Content-Type": "application/json", "x-request-id": request_id, **retry, **HEADERS}
