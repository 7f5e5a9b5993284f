"""`GET /vms/{vm_id}/console`: byte-exact text, or interactive over a WebSocket (docs/interfaces.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import WSMsgType, web

from qarax_server.api.documented import documented, plain
from qarax_server.api.keys import QUERY, ROLE
from qarax_server.api.schemas.queries import ReadConsole
from qarax_server.api.services import CORE, SETTINGS
from qarax_server.api.streams import STREAMS
from qarax_server.control import inspection
from qarax_server.control.tasks import end
from qarax_server.errors import QaraxError
from qarax_server.nodes import console
from qarax_server.nodes.client import NodeClient
from qarax_server.nodes.console import Chunk, Data, Gap, Start, Writer
from qarax_server.roles import Role

LONGEST_INPUT = 65536
DETACH_SECONDS = 2.0

routes = web.RouteTableDef()


@routes.get("/vms/{vm_id}/console", allow_head=False)
@documented(
    tag="vms",
    operation="console",
    role=Role.VIEWER,
    summary="Read a VM's console, or attach to it",
    description="Plain: the bytes the guest wrote, from the oldest kept unless told otherwise. As a "
    "WebSocket: binary frames are bytes, text frames are JSON about them; see docs/interfaces.md.",
    query=ReadConsole,
    answers={200: plain("What the guest wrote.", "Linux version 6.1.0\n")},
    refusals=(503, 504),
)
async def read_console(request: web.Request) -> web.StreamResponse:
    """Answer the bytes, or become a WebSocket."""
    vm_id, most = request.match_info["vm_id"], request.app[SETTINGS].application.readers_per_console
    node = await inspection.node_of(request.app[CORE], vm_id)
    with request.app[STREAMS].reading(vm_id, most):
        return await _read(request, node)


async def _read(request: web.Request, node: NodeClient) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _Session(request, node).run()
    return await _plain(request, node)


def _start(query: dict[str, Any], *, otherwise_oldest: bool) -> Start:
    offset, lines = query["from_offset"], query["tail"]
    nothing = offset is None and lines is None
    return Start(offset, lines, nothing and (otherwise_oldest or query["oldest"] is not None))


async def _plain(request: web.Request, node: NodeClient) -> web.StreamResponse:
    query = request[QUERY]
    start = _start(query, otherwise_oldest=True)
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    chunks = console.read(node, request.match_info["vm_id"], start, follow=bool(query["follow"]))
    async with contextlib.aclosing(chunks):
        first = await anext(chunks, None)
        if first is not None:
            response.headers["X-Console-Offset"] = str(first.offset)
        await response.prepare(request)
        try:
            await _write(response, first)
            async for chunk in chunks:
                await _write(response, chunk)
        except (ConnectionError, QaraxError):
            # too late for another status: the reader sees the text end early
            response.force_close()
    return response


async def _write(response: web.StreamResponse, chunk: Chunk | None) -> None:
    if isinstance(chunk, Data) and chunk.data:
        await response.write(chunk.data)


class _Session:
    """One WebSocket: the console to the client, and its input to the guest when it is the writer."""

    def __init__(self, request: web.Request, node: NodeClient) -> None:
        self._request = request
        self._node = node
        self._vm_id = request.match_info["vm_id"]
        self._socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=LONGEST_INPUT)
        self._writer: Writer | None = None
        self._states: asyncio.Task[None] | None = None

    async def run(self) -> web.WebSocketResponse:
        """Serve until either side ends."""
        await self._socket.prepare(self._request)
        query = self._request[QUERY]
        start = _start(query, otherwise_oldest=False)
        chunks = console.read(self._node, self._vm_id, start, follow=query["follow"] is not False)
        output = asyncio.create_task(self._send_all(chunks))
        try:
            await self._receive_all()
        finally:
            await self._detach()
            await end(output)
            await self._socket.close()
        return self._socket

    async def _send_all(self, chunks: AsyncGenerator[Chunk, None]) -> None:
        at_offset = False
        try:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    if isinstance(chunk, Data):
                        if not at_offset:
                            await self._tell({"type": "offset", "offset": chunk.offset})
                        at_offset = True
                        if chunk.data:
                            await self._socket.send_bytes(chunk.data)
                    else:
                        at_offset = at_offset and not isinstance(chunk, Gap)
                        await self._tell(_note(chunk))
        except QaraxError as error:
            await self._tell({"type": "error", "message": error.message})
        await self._socket.close()

    async def _receive_all(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._type(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._obey(message.data)

    async def _type(self, data: bytes) -> None:
        if self._writer is None:
            await self._tell_input(attached=False)
        else:
            await self._writer.put(data)

    async def _obey(self, text: str) -> None:
        kind, takeover = _order(text)
        if not kind:
            await self._tell({"type": "error", "message": 'not understood: {"type": "attach"|"detach"} is'})
            return
        if kind == "attach" and not self._request[ROLE].covers(Role.OPERATOR):
            sentence = f"the role {self._request[ROLE]} may look and not write: {Role.OPERATOR} may"
            await self._tell({"type": "error", "message": sentence})
            return
        await self._detach()
        if kind == "detach":
            await self._tell_input(attached=False)
            return
        self._writer = Writer(self._node, self._vm_id, takeover=takeover)
        self._states = asyncio.create_task(self._follow_states(self._writer))

    async def _follow_states(self, writer: Writer) -> None:
        try:
            async for attached, holder in writer.states():
                await self._tell_input(attached=attached, holder=holder)
        except QaraxError as error:
            await self._tell({"type": "error", "message": error.message})
        finally:
            # refused, or another one has taken over: what is typed from here on goes nowhere
            if self._writer is writer:
                self._writer = None

    async def _detach(self) -> None:
        """Give input up once what was typed has reached the guest, or after a while."""
        states, writer = self._states, self._writer
        self._states = self._writer = None
        if states is not None and writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DETACH_SECONDS):
                    await writer.end()
                    await asyncio.wait({states})
        await end(states)

    async def _tell_input(self, *, attached: bool, holder: str = "") -> None:
        await self._tell({"type": "input", "attached": attached, "holder": holder})

    async def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(json.dumps(message))


def _order(text: str) -> tuple[str, bool]:
    """What a client asks for, and whether it takes over; empty when it is none of our words."""
    try:
        order = json.loads(text)
        kind, takeover = order["type"], order.get("takeover") is True
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", False
    return (kind, takeover) if kind in ("attach", "detach") else ("", False)


def _note(chunk: Chunk) -> dict[str, Any]:
    if isinstance(chunk, Gap):
        return {"type": "gap", "offset": chunk.offset, "bytes": chunk.bytes, "reason": chunk.reason}
    if isinstance(chunk, Data):
        return {"type": "offset", "offset": chunk.offset}
    return {
        "type": "mark",
        "offset": chunk.offset,
        "time": chunk.time_ms,
        "kind": chunk.kind,
        "text": chunk.text,
    }
