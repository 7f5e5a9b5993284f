"""One VMM's HTTP API on its unix socket: a short connection per request, every call with a deadline.

Written for the wire format of v53.0: replies always carry `Content-Length` or are 204, errors are an array of
causes, the server never closes a healthy connection and drops one whose client half-closes it. Knows no
policy: `boot.py` and `driver.py` decide what an answer means.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SOCKET = "api.sock"
BASE = "/api/v1/"
ANSWER_SECONDS = 5.0
LARGEST_BODY = 51200
LARGEST_REPLY = 1 << 22
READ_BYTES = 1 << 16
BUSY = 503  # it serves ten connections at a time
BUSY_SECONDS = 0.05
# What its HTTP thread answers when the VMM thread is gone: as good as a closed connection.
GOING_AWAY = {"API request send error", "API response receive error"}


class RefusedError(Exception):
    """The VMM answered with an error; `causes` are its own words, outermost first."""

    def __init__(self, endpoint: str, status: int, causes: Sequence[str]) -> None:
        super().__init__(f"{endpoint}: {status}: {': '.join(causes)}")
        self.status = status
        self.causes = tuple(causes)

    @property
    def words(self) -> str:
        """The causes as one sentence, without the API's own preamble."""
        return ": ".join(cause for cause in self.causes if cause != "Error from API")


class AbsentError(Exception):
    """Nobody listens on the socket; the request was not made."""


class UnansweredError(Exception):
    """No reply in time, or the connection was dropped: whether the request took effect is unknown."""


class Client:
    """The VMM whose working directory is `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def get(self, endpoint: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """The JSON object of `vmm.ping`, `vm.info` or `vm.counters`."""
        reply = await self._request("GET", endpoint, None, (), seconds)
        if not isinstance(reply, dict):
            raise UnansweredError(f"the reply to {endpoint} is no JSON object")
        return reply

    async def put(
        self,
        endpoint: str,
        body: Mapping[str, Any] | None = None,
        *,
        fds: Sequence[int] = (),
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """Change something. Without `body` the request has none: v53.0 refuses even an empty object there."""
        return await self._request("PUT", endpoint, body, fds, seconds)

    async def _request(
        self,
        method: str,
        endpoint: str,
        body: Mapping[str, Any] | None,
        fds: Sequence[int],
        seconds: float,
    ) -> Any:
        request = encode(method, endpoint, body)
        try:
            async with asyncio.timeout(seconds):
                status, text = await self._ask(request, fds)
                while status == BUSY:  # it was turned away unread
                    await asyncio.sleep(BUSY_SECONDS)
                    status, text = await self._ask(request, fds)
        except TimeoutError:
            raise UnansweredError(f"no answer to {endpoint} within {seconds:g} s") from None
        except OSError as error:
            raise UnansweredError(f"the connection was lost during {endpoint}: {error.strerror}") from error
        return _answer(endpoint, status, text)

    async def _ask(self, request: bytes, fds: Sequence[int]) -> tuple[int, bytes]:
        with await self._connect() as connection:
            return await _exchange(connection, request, fds)

    async def _connect(self) -> socket.socket:
        """Through the directory's descriptor: a path may be longer than the 107 bytes of sun_path."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                path = f"/proc/self/fd/{directory}/{SOCKET}"
                await asyncio.get_running_loop().sock_connect(connection, path)
            finally:
                os.close(directory)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            raise AbsentError(f"nobody listens on {self._directory / SOCKET}") from error
        except BaseException:
            connection.close()
            raise
        return connection


def encode(method: str, endpoint: str, body: Mapping[str, Any] | None) -> bytes:
    """A request's bytes."""
    head = f"{method} {BASE}{endpoint} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
    if body is None:
        return head.encode() + b"\r\n"
    text = json.dumps(body, separators=(",", ":")).encode()
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


async def _exchange(connection: socket.socket, request: bytes, fds: Sequence[int]) -> tuple[int, bytes]:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(BrokenPipeError):  # turned away: the reason can still be read
        if fds:
            # A fresh connection's buffer is empty: the first bytes, which these ride on, always fit.
            request = request[socket.send_fds(connection, [request], fds) :]
        await loop.sock_sendall(connection, request)
    received = bytearray()
    while (reply := _whole(received)) is None:
        data = await loop.sock_recv(connection, READ_BYTES)
        if not data:
            raise ConnectionResetError(104, "closed without a whole reply")
        received += data
        if len(received) > LARGEST_REPLY:
            raise ConnectionResetError(104, f"a reply longer than {LARGEST_REPLY} bytes")
    return reply


def _whole(received: bytearray) -> tuple[int, bytes] | None:
    """Status and body once all of the reply is there."""
    head, blank, rest = bytes(received).partition(b"\r\n\r\n")
    if not blank:
        return None
    status_line, *headers = head.split(b"\r\n")
    words = status_line.split(b" ")
    if not words[0].startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004  version, status
        raise ConnectionResetError(104, "not an HTTP reply")
    length = 0
    for header in headers:
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
    return (int(words[1]), rest[:length]) if len(rest) >= length else None


def _answer(endpoint: str, status: int, text: bytes) -> Any:
    """The JSON of a 2xx, None when it has no body. RefusedError, or UnansweredError of one that dies."""
    if not 200 <= status < 300:  # noqa: PLR2004  HTTP's classes
        causes = _causes(text)
        if GOING_AWAY.intersection(causes):
            raise UnansweredError(f"the VMM went away during {endpoint}")
        raise RefusedError(endpoint, status, causes)
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise UnansweredError(f"the reply to {endpoint} is not JSON") from error


def _causes(text: bytes) -> list[str]:
    """The array of an API error; the library's own errors are not even JSON and come as they are."""
    try:
        causes = json.loads(text)
    except ValueError:
        return [" ".join(text.decode(errors="replace").split()) or "no reason given"]
    return [str(cause) for cause in causes] if isinstance(causes, list) else [str(causes)]
