"""Hostile bodies at the API, hostile bytes at the node, a hostile node at the server: F24, F25."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
from qarax_proto import node_pb2, node_pb2_grpc

from tests.faults.conftest import Scenario
from tests.faults.test_consoles import descriptors, memory
from tests.faults.world import World
from tests.server.running import until

VM = '{"name": %s, "hypervisor": "cloud_hv", "boot_vcpus": 1, "max_vcpus": 1, "memory_size": %s}'
BODIES: dict[str, str | bytes] = {
    "100 MB": '{"name": "' + "a" * 100_000_000 + '"}',
    "depth 100,000": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "NaN": VM % ('"a"', "NaN"),
    "Infinity": VM % ('"a"', "-Infinity"),
    "2^63": VM % ('"a"', str(2**63)),
    "2^64": VM % ('"a"', str(2**64)),
    "a million digits": VM % ('"a"', "1" * 1_000_000),
    "1e400": VM % ('"a"', "1e400"),
    "NUL": VM % ('"a\\u0000b"', "67108864"),
    "lone surrogate": VM % ('"a\\ud800b"', "67108864"),
    "duplicate keys": '{"name": "a", "name": "b", "hypervisor": "cloud_hv"}',
    "not JSON": "{",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "a list": "[]",
    "nothing": "",
}


async def test_f24_hostile_bodies(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F24", f"{len(BODIES)} hostile bodies") as row:
        before = memory(world, "server")
        told = {}
        for name, body in BODIES.items():
            raw = body if isinstance(body, bytes) else body.encode()
            told[name] = await post(world, raw)
        assert set(told.values()) <= {400, 413, 422}, told
        grown = (memory(world, "server") - before) >> 20
        assert grown <= 64, f"{grown} MiB"
        assert await world.everything("/vms") == []
        row.outcome = f"{sorted(set(told.values()))}, memory grew {grown} MiB"


async def post(world: World, body: bytes) -> int:
    """The status; 413 also where the server ends the connection in the middle of too long a body."""
    headers = {"Content-Type": "application/json"}
    try:
        async with world.session.post(f"{world.url}/vms", data=io.BytesIO(body), headers=headers) as response:
            await response.read()
            return response.status
    except (aiohttp.ClientError, ConnectionError):
        return 413 if len(body) > 1 << 20 else 0


@pytest.mark.faults
async def test_f25_random_bytes_at_the_node(world: World, scenario: Scenario) -> None:
    connections = 300
    async with scenario(world, "F25", f"{connections} connections of random bytes, 1 guest") as row:
        vm_id = await world.run_vm()
        world.watch_guests()
        before = descriptors(world, "node")
        for number in range(connections):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.node_port)
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if number % 2 else b""
            writer.write(preface + os.urandom(2000))
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(reader.read(100), 0.05)
            writer.transport.abort()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{world.node_port}") as channel:
            for method in ("CreateVm", "StartVm", "DeleteVm", "ReadConsole", "CheckFile", "NoSuch"):
                call: Any = channel.unary_unary(f"/qarax.node.v1.Node/{method}")
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(os.urandom(3000), timeout=5)
        assert (await world.ok("POST", f"/vms/{vm_id}/pause"))["status"] == "paused"
        await until(lambda: _settled(world, before + 10), 30)
        row.outcome = f"both up, descriptors {before} → {descriptors(world, 'node')}"


async def _settled(world: World, count: int) -> bool:
    return descriptors(world, "node") <= count


class HostileNode(node_pb2_grpc.NodeServicer):
    """Claims what it likes about a VM of another host."""

    def __init__(self, victim: str) -> None:
        self.victim = victim
        self.told = 0

    def _node(self) -> node_pb2.NodeDescription:
        return node_pb2.NodeDescription(
            node_id="\u202e[/]\x1b[2J",
            boot_id="b" * 100_000,
            version="v\x00",
            hostname="h\x1b]0;owned\x07",
            cpus=2**32 - 1,
            memory_bytes=2**64 - 1,
            drivers=[node_pb2.DriverDescription(name="x" * 10_000, usable=True)],
        )

    async def Describe(self, request: Any, context: Any) -> node_pb2.NodeDescription:  # noqa: N802, ARG002
        return self._node()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[node_pb2.NodeEvent]:  # noqa: N802, ARG002
        lie = node_pb2.VmState(
            vm_id=self.victim,
            status=node_pb2.VmState.STATUS_SHUTDOWN,
            reason="\x1b[31mgone\x00",
            generation=2**64 - 1,
            started_at_ms=2**64 - 1,
            name="[/]" * 1000,
        )
        nonsense = node_pb2.VmState(vm_id="'; DROP TABLE vms; --", generation=1, name="\x00")
        self.told += 1
        snapshot = node_pb2.NodeSnapshot(node=self._node(), vms=[lie, nonsense], strangers=["\x00"])
        yield node_pb2.NodeEvent(snapshot=snapshot)
        while True:
            yield node_pb2.NodeEvent(vm_changed=lie)
            yield node_pb2.NodeEvent(vm_changed=nonsense)
            yield node_pb2.NodeEvent(vm_removed=self.victim)
            yield node_pb2.NodeEvent(vm_removed="x" * 100_000)
            await asyncio.sleep(0.05)


async def test_f25_a_hostile_node(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F25", "a node that lies about another's VM") as row:
        vm_id = await world.run_vm()
        world.watch_guests()
        hostile = HostileNode(vm_id)  # type: ignore[abstract]  # the other calls are left unimplemented on purpose
        server = grpc.aio.server()
        node_pb2_grpc.add_NodeServicer_to_server(hostile, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            new = {"name": "evil", "address": "127.0.0.1", "port": port, "host_user": "root"}
            host_id = await world.ok("POST", "/hosts", new)
            await world.request("PATCH", f"/hosts/{host_id}", {"status": "up"})
            began = time.monotonic()
            while time.monotonic() - began < 3:
                assert (await world.ok("GET", f"/vms/{vm_id}"))["status"] == "running"
                assert (await world.request("GET", "/hosts")).status == 200
                await asyncio.sleep(0.1)
            assert hostile.told
            assert (await world.ok("POST", f"/vms/{vm_id}/pause"))["status"] == "paused"
        finally:
            await server.stop(0)
        await world.ok("PATCH", f"/hosts/{host_id}", {"status": "down"})
        assert "Traceback" not in world.log("server"), world.log("server")[-3000:]
        row.outcome = f"asked {hostile.told} times, nothing believed"
