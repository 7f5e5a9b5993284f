"""Bytes and messages on the gRPC port that no server of ours would send: refused, and the node stays up."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from qarax_proto import node_pb2

from qarax_node.app import Node
from tests.node.serving import FENCE, new_id, serving, settings, vm_spec

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub


@pytest.fixture
async def served(runtime_dir: Path) -> AsyncIterator[tuple[Node, Stub]]:
    async with serving(settings(runtime_dir)) as both:
        yield both


async def test_random_bytes_and_half_connections(served: tuple[Node, Stub]) -> None:
    node, stub = served
    for text in (
        os.urandom(4096),
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(999),
    ):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", node.settings.port)) as hostile:
                hostile.sendall(text)
    assert (await stub.Describe(node_pb2.DescribeRequest())).node_id


async def test_messages_that_break_every_rule(served: tuple[Node, Stub]) -> None:
    _, stub = served
    huge = vm_spec(Path("/pool"), cmdline="x" * (17 << 20))
    nul = vm_spec(Path("/po\0ol"))
    outside = vm_spec(Path("/pool"))
    outside.kernel.path = "/etc/passwd"
    twice = vm_spec(Path("/pool"), networks=[node_pb2.Network(id="a"), node_pb2.Network(id="a")])
    codes = []
    for spec in (huge, nul, outside, twice, node_pb2.VmSpec()):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=new_id(), spec=spec))
        codes.append(refused.value.code())
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] + [grpc.StatusCode.INVALID_ARGUMENT] * 4
    assert (await stub.Describe(node_pb2.DescribeRequest())).degraded_reason == ""


async def test_offsets_and_lines_at_the_limits(served: tuple[Node, Stub]) -> None:
    _, stub = served
    vm_id = new_id()
    await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=vm_spec(Path("/pool"))))
    most = (1 << 64) - 1
    for request in (
        node_pb2.ReadConsoleRequest(vm_id=vm_id, offset=most),
        node_pb2.ReadConsoleRequest(vm_id=vm_id, tail_bytes=most),
        node_pb2.ReadConsoleRequest(vm_id=vm_id, oldest=True, limit_bytes=most),
        node_pb2.ReadConsoleRequest(vm_id=vm_id, tail_lines=100_000),
    ):
        assert [chunk async for chunk in stub.ReadConsole(request)] == []
