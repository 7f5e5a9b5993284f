"""A VM of the contract: asked for, typed to and read through a served node, whichever driver runs it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from qarax_proto import node_pb2

from tests.node.drivers.served import ServedVm

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

BOOT_SECONDS = 60.0
PROMPT = b"# "


class ContractVm(ServedVm):
    """Its console is read by offset, over as many nodes as it takes; `console` is all of it so far."""

    def __init__(self, stub: Stub, runtime_dir: Path) -> None:
        super().__init__(stub, runtime_dir)
        self.console = bytearray()
        self._stub = stub
        self._runtime_dir = runtime_dir

    def another(self) -> ContractVm:
        """One more VM of the same node."""
        return ContractVm(self._stub, self._runtime_dir)

    async def node_is_back(self) -> None:
        """Wait until the node answers."""
        deadline = time.monotonic() + 20
        while True:
            try:
                await self._stub.Describe(node_pb2.DescribeRequest(), wait_for_ready=True, timeout=20)
            except grpc.aio.AioRpcError as error:  # it still went to the one that was killed
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                    raise
            else:
                return

    async def boot(self, banner: bytes) -> node_pb2.VmState:
        """Start and wait for the shell."""
        seen = len(self.console)
        state = await self.start()
        await self.prints(banner, since=seen)
        await self.prints(PROMPT, since=self.console.index(banner, seen))
        return state

    async def run(self, line: str, output: bytes) -> None:
        """Type a line and wait for what it prints, on a line of its own."""
        seen = len(self.console)
        await self.type(line)
        await self.prints(b"\n" + output + b"\r\n", since=seen)

    async def prints(self, text: bytes, since: int = 0, seconds: float = BOOT_SECONDS) -> None:
        """Read on until `text` has come; a node that goes away meanwhile is waited for."""
        deadline = time.monotonic() + seconds
        while self.console.find(text, since) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r}; the console ends with {bytes(self.console[-400:])!r}"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._read_on(text, since)

    async def _read_on(self, text: bytes, since: int) -> None:
        request = node_pb2.ReadConsoleRequest(vm_id=self.vm_id, offset=len(self.console), follow=True)
        try:
            async for chunk in self._stub.ReadConsole(request, wait_for_ready=True):
                assert not chunk.HasField("gap")
                if chunk.HasField("data"):
                    assert chunk.data.offset == len(self.console)
                    self.console += chunk.data.data
                if self.console.find(text, since) >= 0:
                    return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
