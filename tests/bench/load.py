"""HTTP requests with as little work of our own as possible: HTTP/1.1 on kept connections, bytes in and out.

A client that takes its share of the same two cores would be measured with the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """A header's value, empty when there is none."""
        place = self.head.lower().find(b"\r\n" + name + b": ")
        return self.head[place + 2 :].partition(b"\r\n")[0].partition(b": ")[2] if place >= 0 else b""


@dataclass
class Wire:
    """One connection; a request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    host: str

    async def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """Make a request."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.writer.write(head.encode() + data)
        found = await self.reader.readuntil(b"\r\n\r\n")
        reply = Reply(int(found[9:12]), found, b"")
        length = int(reply.header(b"content-length") or 0)
        return replace(reply, body=await self.reader.readexactly(length)) if length else reply


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Wire]:
    """A connection to a server."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**26)
    try:
        yield Wire(reader, writer, parts.netloc)
    finally:
        writer.close()


async def all_at_once(
    url: str, method: str, requests: Iterable[tuple[str, Any]], clients: int, expected: int
) -> tuple[float, list[bytes]]:
    """Make requests (path, body), so many at a time; return the seconds and the answers' bodies."""
    waiting = iter(list(requests))
    answers: list[bytes] = []

    async def client() -> None:
        async with connected(url) as wire:
            for path, body in waiting:
                reply = await wire.ask(method, path, body)
                assert reply.status == expected, (method, path, reply)
                answers.append(reply.body)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return time.perf_counter() - began, answers
