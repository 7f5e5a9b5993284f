"""A VM's console as the contract serves it: bytes by offset, marks and gaps in between, one writer."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

CHUNK = 64 * 1024


@dataclass
class FakeConsole:
    """The kept bytes begin at `oldest`; `received` is what clients typed.

    Claims are answered while `answering` is set, and refused with the sentence `refusing` unless it is empty.
    """

    oldest: int = 0
    data: bytearray = field(default_factory=bytearray)
    marks: list[dict[str, Any]] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    holder: str | None = None
    refusing: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answering.set()

    @property
    def end(self) -> int:
        return self.oldest + len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data
        self._wake()

    def mark(self, kind: str, text: str = "", seconds: float | None = None) -> None:
        """Notes a boot, time, exit, … at the present end."""
        moment = time.time() if seconds is None else seconds
        self.marks.append(
            {"type": "mark", "offset": self.end, "time": int(moment * 1000), "kind": kind, "text": text}
        )
        self._wake()

    def lose(self, count: int, reason: str = "the disk was full") -> None:
        """A gap of so many bytes: they were never kept."""
        self.marks.append({"type": "gap", "offset": self.end, "bytes": count, "reason": reason})
        self._wake()

    def trim(self, count: int) -> None:
        """Rotation: the oldest bytes go."""
        del self.data[:count]
        self.oldest += count

    def tail_offset(self, lines: int) -> int:
        position = len(self.data)
        for _ in range(lines + 1):
            position = self.data.rfind(b"\n", 0, position)
            if position < 0:
                return self.oldest
        return self.oldest + position + 1

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


def start_offset(console: FakeConsole, query: Any) -> int:
    """Where a reader begins; nothing said means live only."""
    if "from" in query:
        return max(console.oldest, min(int(query["from"]), console.end))
    if "tail" in query:
        return console.tail_offset(int(query["tail"]))
    return console.oldest if "oldest" in query else console.end


async def serve_console(request: web.Request, console: FakeConsole) -> web.StreamResponse:
    """Plain GET: the bytes. WebSocket: bytes, marks and input until the client leaves."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        offset = start_offset(console, request.query) if request.query else console.oldest
        return web.Response(body=bytes(console.data[offset - console.oldest :]), content_type="text/plain")
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    follow = request.query.get("follow") == "true"
    sender = asyncio.create_task(_send(socket, console, start_offset(console, request.query), follow))
    try:
        await _receive(socket, console)
    finally:
        sender.cancel()
    return socket


async def _send(socket: web.WebSocketResponse, console: FakeConsole, offset: int, follow: bool) -> None:
    noted = sum(1 for mark in console.marks if mark["offset"] < offset)
    await socket.send_json({"type": "offset", "offset": offset})
    while True:
        news = console.news
        following = console.marks[noted] if noted < len(console.marks) else None
        stop = min(following["offset"] if following else console.end, console.end, offset + CHUNK)
        if stop > offset:
            await socket.send_bytes(bytes(console.data[offset - console.oldest : stop - console.oldest]))
            offset = stop
        elif following and following["offset"] <= offset:
            await socket.send_json(following)
            noted += 1
            if following["type"] == "gap":
                await socket.send_json({"type": "offset", "offset": offset})
        elif follow:
            await news.wait()
        else:
            await socket.close()
            return


async def _receive(socket: web.WebSocketResponse, console: FakeConsole) -> None:
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            console.received += message.data
        elif message.type is WSMsgType.TEXT:
            request = json.loads(message.data)
            await console.answering.wait()
            if console.refusing:
                await socket.send_json({"type": "error", "message": console.refusing})
                continue
            free = console.holder is None or request.get("takeover")
            if request["type"] == "attach" and free:
                console.holder = "you"
            elif request["type"] == "detach":
                console.holder = None
            attached = console.holder == "you"
            await socket.send_json({"type": "input", "attached": attached, "holder": console.holder})
