"""A VM's console through its node: bytes by offset, gaps and marks; input with one writer at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from qarax_proto import node_pb2

from qarax_server import caller
from qarax_server.nodes.client import NodeClient
from qarax_server.nodes.failures import translated

INPUT_FRAMES = 64


@dataclass(frozen=True)
class Start:
    """Where to begin: at a byte, so many lines back, at the oldest byte, or (all empty) at the end."""

    offset: int | None = None
    lines: int | None = None
    oldest: bool = False


@dataclass(frozen=True)
class Data:
    """Bytes as the guest wrote them."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class Gap:
    """Bytes that are not to be had; 0: nobody knows how many."""

    offset: int
    bytes: int
    reason: str


@dataclass(frozen=True)
class Mark:
    """A boot, a time or another note."""

    offset: int
    time_ms: int
    kind: str
    text: str


Chunk = Data | Gap | Mark


async def read(node: NodeClient, vm_id: str, start: Start, *, follow: bool) -> AsyncGenerator[Chunk, None]:
    """Yield the console from `start`, and with `follow` what comes after."""
    request = node_pb2.ReadConsoleRequest(vm_id=vm_id, follow=follow)
    if start.offset is not None:
        request.offset = start.offset
    elif start.lines is not None:
        request.tail_lines = start.lines
    elif start.oldest:
        request.oldest = True
    else:
        request.tail_bytes = 0
    call = node.stub.ReadConsole(request, metadata=(("x-request-id", caller.current().request_id),))
    try:
        with translated(node.host_name):
            async for message in call:
                if (chunk := _chunk(message)) is not None:
                    yield chunk
    finally:
        call.cancel()


class Writer:
    """One client's input. `put` waits while the node takes no more, and drops nothing until `states` ends."""

    def __init__(self, node: NodeClient, vm_id: str, *, takeover: bool) -> None:
        self._node = node
        self._frames: asyncio.Queue[node_pb2.ConsoleInput | None] = asyncio.Queue(INPUT_FRAMES)
        self._frames.put_nowait(
            node_pb2.ConsoleInput(vm_id=vm_id, writer=caller.current().actor, takeover=takeover)
        )

    async def put(self, data: bytes) -> None:
        """Send bytes to the guest."""
        await self._frames.put(node_pb2.ConsoleInput(data=data))

    async def end(self) -> None:
        """Give up the claim."""
        await self._frames.put(None)

    async def states(self) -> AsyncIterator[tuple[bool, str]]:
        """Yield whether this client is the writer, and who is."""
        call = self._node.stub.WriteConsole(
            self._outgoing(), metadata=(("x-request-id", caller.current().request_id),)
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self._drop)
            stack.callback(call.cancel)
            stack.enter_context(translated(self._node.host_name))
            async for state in call:
                yield state.attached, state.holder

    def _drop(self) -> None:
        """Nobody takes input any more: let a `put` that waits for room go on."""
        while not self._frames.empty():
            self._frames.get_nowait()

    async def _outgoing(self) -> AsyncIterator[node_pb2.ConsoleInput]:
        while (frame := await self._frames.get()) is not None:
            yield frame


def _chunk(message: node_pb2.ConsoleChunk) -> Chunk | None:
    kind = message.WhichOneof("chunk")
    if kind == "data":
        return Data(message.data.offset, message.data.data)
    if kind == "gap":
        return Gap(message.gap.offset, message.gap.bytes, message.gap.reason)
    if kind == "mark":
        return Mark(message.mark.offset, message.mark.time_ms, message.mark.kind, message.mark.text)
    return None
