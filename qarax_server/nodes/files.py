"""The calls about files: pools, checks, transfers and disks, done by a node on its own host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from qarax_proto import node_pb2

from qarax_server import caller
from qarax_server.errors import NodeTimeout
from qarax_server.models import File
from qarax_server.nodes.client import NodeClient
from qarax_server.nodes.failures import translated
from qarax_server.nodes.wire import file_message

CHECK_SECONDS = 5.0
DISK_SECONDS = 600.0
SILENCE_SECONDS = 60.0
"""A transfer that reports nothing for so long has lost its node or its source."""


@dataclass(frozen=True)
class PoolState:
    """What a node sees of a pool's directory, in bytes."""

    capacity_bytes: int
    available_bytes: int


@dataclass(frozen=True)
class FileState:
    """What a node sees of a file."""

    exists: bool
    size_bytes: int
    format: str


@dataclass(frozen=True)
class Progress:
    """How far a transfer has come; `total_bytes` is None while nobody knows."""

    transferred_bytes: int
    total_bytes: int | None
    done: bool


@dataclass(frozen=True)
class TransferOrder:
    """What a node is asked to bring."""

    transfer_id: str
    destination: File
    source: str
    transfer_type: str
    size_limit_bytes: int
    sha256: str
    allowed_networks: Sequence[str]
    import_pools: Sequence[str]


async def check_pool(
    node: NodeClient, path: str, pool_type: str, nfs_source: str = "", *, look_only: bool = False
) -> PoolState:
    """Make a pool's directory when it is missing and look at it; with `look_only` make nothing."""
    request = node_pb2.CheckPoolRequest(
        fence=node.fence(), path=path, pool_type=pool_type, nfs_source=nfs_source, look_only=look_only
    )
    state = await node.call(node.stub.CheckPool, request, CHECK_SECONDS)
    return PoolState(state.capacity_bytes, state.available_bytes)


async def check_file(node: NodeClient, file: File) -> FileState:
    """Look at a file."""
    request = node_pb2.CheckFileRequest(file=file_message(file))
    return _state(await node.call(node.stub.CheckFile, request, CHECK_SECONDS))


async def delete_file(node: NodeClient, file: File) -> None:
    """Remove a file; one that is not there is success."""
    request = node_pb2.DeleteFileRequest(fence=node.fence(), file=file_message(file))
    await node.call(node.stub.DeleteFile, request, CHECK_SECONDS)


async def create_disk(
    node: NodeClient, destination: File, size_bytes: int | None, clone_of: File | None
) -> FileState:
    """Make a blank raw disk, or a copy of a file."""
    request = node_pb2.CreateDiskRequest(
        fence=node.fence(), destination=file_message(destination), size_bytes=size_bytes or 0
    )
    if clone_of is not None:
        request.clone_of.CopyFrom(file_message(clone_of))
    return _state(await node.call(node.stub.CreateDisk, request, DISK_SECONDS))


async def transfer_file(node: NodeClient, order: TransferOrder) -> AsyncGenerator[Progress, None]:
    """Bring a file into a pool; the last progress is `done`. Closing the iterator cancels the transfer.

    Raises:
        NodeTimeout: it reports nothing any more.
        NodeUnavailable, Invalid, Conflict: the node cannot, or will not.
    """
    request = node_pb2.TransferFileRequest(
        fence=node.fence(),
        transfer_id=order.transfer_id,
        destination=file_message(order.destination),
        source=order.source,
        transfer_type=order.transfer_type,
        size_limit_bytes=order.size_limit_bytes,
        sha256=order.sha256,
        allowed_networks=order.allowed_networks,
        import_pools=order.import_pools,
    )
    metadata = (("x-request-id", caller.current().request_id),)
    call = node.stub.TransferFile(request, metadata=metadata)
    try:
        with translated(node.host_name):
            async with aclosing(_patient(call, node.host_name)) as messages:
                async for message in messages:
                    yield Progress(message.transferred_bytes, message.total_bytes or None, message.done)
    finally:
        call.cancel()


async def _patient(call: Any, host_name: str) -> AsyncGenerator[Any, None]:
    messages = aiter(call)
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                message = await anext(messages, None)
        except TimeoutError as error:
            raise NodeTimeout(f"the transfer on host {host_name} reports nothing any more") from error
        if message is None:
            return
        yield message


def _state(message: Any) -> FileState:
    return FileState(message.exists, message.size_bytes, message.format)
