"""The node, as a process, is killed while a guest floods its console: the VM goes on, no byte is missed."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from qarax_proto import node_pb2

from tests.node.drivers.harness import BANNER, Case
from tests.node.drivers.node_process import NodeProcess
from tests.node.drivers.served import pooled_spec
from tests.node.serving import FENCE

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

FLOODS = {
    "qemu": ("seq 1 20000", [str(number).encode() for number in range(1, 20001)]),
    "cloud_hypervisor": ("flood 100000", [f"flood {n:09d} {'.' * 46}".encode() for n in range(100_000)]),
}


class Reader:
    """Reads a VM's console by offset, over as many nodes as it takes."""

    def __init__(self, stub: Stub, vm_id: str) -> None:
        self.seen = bytearray()
        self._stub = stub
        self._vm_id = vm_id

    async def until(self, text: bytes) -> None:
        """Read on from where it is until `text` has come; a node that goes away is waited for."""
        async with asyncio.timeout(90):
            while text not in self.seen:
                try:
                    await self._read(text)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise

    async def _read(self, text: bytes) -> None:
        request = node_pb2.ReadConsoleRequest(vm_id=self._vm_id, offset=len(self.seen), follow=True)
        async for chunk in self._stub.ReadConsole(request, wait_for_ready=True):
            assert not chunk.HasField("gap")
            if chunk.HasField("data"):
                assert chunk.data.offset == len(self.seen)
                self.seen += chunk.data.data
            if text in self.seen:
                return


async def type_line(stub: Stub, vm_id: str, line: str) -> None:
    typed = node_pb2.ConsoleInput(vm_id=vm_id, writer="test", data=line.encode() + b"\n")
    async for _ in stub.WriteConsole(iter([typed])):
        pass


async def test_a_flooding_console_is_byte_exact_across_a_kill_of_the_node(
    case: Case, node: NodeProcess, node_stub: Stub, runtime_dir: Path, tmp_path: Path
) -> None:
    command, lines = FLOODS[case.name]
    vm_id = str(uuid.uuid4())
    create = node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=pooled_spec(case, tmp_path / "pool"))
    await node_stub.CreateVm(create, wait_for_ready=True, timeout=20)
    started = await node_stub.StartVm(node_pb2.StartVmRequest(fence=FENCE, vm_id=vm_id))
    console = Reader(node_stub, vm_id)
    await console.until(BANNER)
    await console.until(b"# ")
    await type_line(node_stub, vm_id, command)

    await console.until(b"\r\n%s\r\n" % lines[len(lines) // 20])
    node.kill()
    node.start()
    await console.until(b"\r\n%s\r\n" % lines[-1])

    printed = bytes(console.seen).split(b"\r\n")
    begun = printed.index(lines[0])
    assert printed[begun : begun + len(lines)] == lines
    log = (runtime_dir / f"{vm_id}.console.log").read_bytes()
    assert log.startswith(bytes(console.seen))
    adopted = await node_stub.GetVm(node_pb2.GetVmRequest(vm_id=vm_id))
    assert (adopted.status, adopted.pid) == (node_pb2.VmState.STATUS_RUNNING, started.pid)
    os.kill(adopted.pid, 0)
