"""A node served in the test's own process, over real gRPC, and specs for its VMs."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from qarax_proto import node_pb2, node_pb2_grpc

from qarax_node.app import Node
from qarax_node.settings import Settings
from tests.ports import free_port

FENCE = node_pb2.Fence(number=1)


def settings(runtime_dir: Path, **more: Any) -> Settings:
    given = {"drivers": ("simulated",), "simulated_boot_seconds": 0.0, **more}
    return Settings(
        port=free_port(), runtime_dir=runtime_dir, keeper_socket=runtime_dir / "keeper.sock", **given
    )


@contextlib.asynccontextmanager
async def serving(given: Settings) -> AsyncIterator[tuple[Node, node_pb2_grpc.NodeAsyncStub]]:
    node = Node(given)
    await node.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{given.port}") as channel:
            yield node, node_pb2_grpc.NodeStub(channel)
    finally:
        await node.stop()


def vm_spec(pool: Path, **more: Any) -> node_pb2.VmSpec:
    """A small VM with its kernel in a pool."""
    fields: dict[str, Any] = {
        "name": "vm",
        "boot_vcpus": 1,
        "max_vcpus": 1,
        "memory_size": 64 << 20,
        "memory_thp": True,
        "kernel": node_pb2.FileReference(pool_path=str(pool), path=str(pool / "kernel")),
        "cmdline": "console=ttyS0",
        **more,
    }
    return node_pb2.VmSpec(**fields)


def new_id() -> str:
    return str(uuid.uuid4())


def code_of(error: grpc.aio.AioRpcError) -> str:
    """The stable code in the trailing metadata."""
    return str(dict(error.trailing_metadata() or ()).get("qarax-code", ""))
