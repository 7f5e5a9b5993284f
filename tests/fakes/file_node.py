"""A node that knows files only: the file calls of `node.proto` on a real directory, and what can go wrong.

It stands for a host's node at its port. Tests hold a transfer half-way, make it refuse, or make it vanish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from qarax_proto import node_pb2, node_pb2_grpc

CHUNK = 4096


class FileNode(node_pb2_grpc.NodeServicer):
    """Files beneath `root`: pool paths of requests are real paths."""

    def __init__(self) -> None:
        self.port = 0
        self.refusal = ""
        self.pool_refusal = ""
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.transfers = 0
        self.request_ids: list[str] = []
        self.cancelled = asyncio.Event()

    async def CheckPool(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        if self.pool_refusal:
            await _refuse(context, self.pool_refusal, "pool_not_private")
        if not request.look_only:
            Path(request.path).mkdir(parents=True, exist_ok=True)
        return node_pb2.PoolState(capacity_bytes=10**9, available_bytes=10**8)

    async def CheckFile(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        return _state(Path(request.file.path))

    async def DeleteFile(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        Path(request.file.path).unlink(missing_ok=True)
        return node_pb2.DeleteFileResponse()

    async def CreateDisk(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.go_on.wait()
        if self.refusal:
            await _refuse(context, self.refusal, "no_space")
        path = Path(request.destination.path)
        data = (
            Path(request.clone_of.path).read_bytes() if request.clone_of.path else bytes(request.size_bytes)
        )
        path.write_bytes(data)
        return _state(path)

    async def TransferFile(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.transfers += 1
        self.request_ids += [
            str(value) for key, value in context.invocation_metadata() if key == "x-request-id"
        ]
        if self.refusal:
            await _refuse(context, self.refusal, "source_missing")
        data = Path(request.source).read_bytes()
        target = Path(request.destination.path)
        half = target.with_name(f".{target.name}.part")
        half.write_bytes(data[: len(data) // 2])
        try:
            yield node_pb2.TransferProgress(transferred_bytes=len(data) // 2, total_bytes=len(data))
            await self.go_on.wait()
            half.write_bytes(data)
            half.rename(target)
            yield node_pb2.TransferProgress(transferred_bytes=len(data), total_bytes=len(data), done=True)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            half.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def running_file_node(port: int = 0) -> AsyncIterator[FileNode]:
    """Serve one on a port of its own."""
    node = FileNode()  # type: ignore[abstract] # the rest answers UNIMPLEMENTED
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    node_pb2_grpc.add_NodeServicer_to_server(node, server)
    node.port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield node
    finally:
        await server.stop(None)


async def _refuse(context: Any, sentence: str, code: str) -> None:
    context.set_trailing_metadata((("qarax-code", code),))
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, sentence)


def _state(path: Path) -> Any:
    return node_pb2.FileState(
        exists=path.is_file(), size_bytes=path.stat().st_size if path.is_file() else 0, format="raw"
    )
