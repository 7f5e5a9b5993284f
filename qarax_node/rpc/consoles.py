"""The console calls: bytes out by offset, bytes in from one writer at a time."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from qarax_proto import node_pb2

from qarax_node.console.log import LogSource
from qarax_node.console.pieces import Data
from qarax_node.drivers.simulated import SimulatedDriver
from qarax_node.errors import NodeError
from qarax_node.keeper_client import KeeperError, KeeperUnavailableError
from qarax_node.rpc import messages
from qarax_node.rpc.errors import translated
from qarax_node.rpc.vms import VmCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qarax_node.console.consoles import Consoles
    from qarax_node.console.pieces import Source
    from qarax_node.keeper_client import Writer
    from qarax_node.machines.host import Host
    from qarax_node.machines.machine import Machine
    from qarax_node.rpc.errors import Context

SEPARATOR = "\t"


class ConsoleCalls(VmCalls):
    """The part of the service that is about consoles."""

    def __init__(self, host: Host, consoles: Consoles) -> None:
        super().__init__(host)
        self._consoles = consoles
        self._numbers = itertools.count(1)
        self._lost: dict[str, dict[str, asyncio.Event]] = {}
        self._holders: dict[str, str] = {}
        if host.keeper is not None:
            host.keeper.on_writer.append(self._writer_changed)

    def _source(self, machine: Machine) -> Source:
        if isinstance(machine.driver, SimulatedDriver):
            return machine.driver.console(machine.vm_id)
        return LogSource(self.host.settings.runtime_dir, machine.vm_id)

    async def ReadConsole(
        self, request: node_pb2.ReadConsoleRequest, context: Context
    ) -> AsyncIterator[node_pb2.ConsoleChunk]:
        async with translated(context, "ReadConsole"):
            source = self._source(self.host.get(request.vm_id))
            start = await asyncio.to_thread(_start, source, request)
            pieces = self._consoles.read(
                request.vm_id, source, start, follow=request.follow, limit=request.limit_bytes
            )
            if request.follow:  # where it begins, though the guest may be silent for long
                yield messages.chunk(Data(start, b""))
            async for piece in pieces:
                yield messages.chunk(piece)

    async def WriteConsole(
        self, request_iterator: AsyncIterator[node_pb2.ConsoleInput], context: Context
    ) -> AsyncIterator[node_pb2.ConsoleInputState]:
        async with translated(context, "WriteConsole"):
            first = await anext(aiter(request_iterator), None)
            if first is None:
                return
            machine = self.host.get(first.vm_id)
            if isinstance(machine.driver, SimulatedDriver):
                yield node_pb2.ConsoleInputState(attached=True, holder=first.writer)
                await _echo(machine.driver, first, request_iterator)
                return
            async for state in self._write(first, request_iterator):
                yield state

    async def _write(
        self, first: node_pb2.ConsoleInput, inputs: AsyncIterator[node_pb2.ConsoleInput]
    ) -> AsyncIterator[node_pb2.ConsoleInputState]:
        """Claim, pass input on, and end when another one takes over."""
        vm_id, writer = first.vm_id, f"{first.writer}{SEPARATOR}{next(self._numbers)}"
        try:
            await self._type(vm_id, writer, first.data, takeover=first.takeover)
        except KeeperError as error:
            if error.code != "held":
                raise
            yield node_pb2.ConsoleInputState(attached=False, holder=_shown(self._holders.get(vm_id, "")))
            return
        lost = self._lost.setdefault(vm_id, {})[writer] = asyncio.Event()
        yield node_pb2.ConsoleInputState(attached=True, holder=first.writer)
        passing = asyncio.create_task(self._pass_on(vm_id, writer, inputs))
        losing = asyncio.create_task(lost.wait())
        try:
            await asyncio.wait({passing, losing}, return_when=asyncio.FIRST_COMPLETED)
            if passing.done():
                passing.result()
            else:
                yield node_pb2.ConsoleInputState(attached=False, holder=_shown(self._holders.get(vm_id, "")))
        finally:
            passing.cancel()
            losing.cancel()
            del self._lost[vm_id][writer]
            await asyncio.shield(self._release(vm_id, writer))

    async def _type(self, vm_id: str, writer: str, data: bytes, *, takeover: bool = False) -> None:
        if self.host.keeper is None:
            raise NodeError("this VM takes no input", code="no_console", kind="state")
        await self.host.keeper.input(vm_id, writer, data, takeover=takeover)

    async def _pass_on(self, vm_id: str, writer: str, inputs: AsyncIterator[node_pb2.ConsoleInput]) -> None:
        async for message in inputs:
            if message.data:
                await self._type(vm_id, writer, message.data)

    async def _release(self, vm_id: str, writer: str) -> None:
        if self.host.keeper is not None and self.host.keeper.connected:
            try:
                await self.host.keeper.release(vm_id, writer)
            except KeeperUnavailableError:
                return  # its claims end with the connection

    def _writer_changed(self, change: Writer) -> None:
        self._holders[change.vm_id] = change.holder
        if not change.holder:
            del self._holders[change.vm_id]
        for writer, lost in self._lost.get(change.vm_id, {}).items():
            if writer != change.holder:
                lost.set()


def _shown(holder: str) -> str:
    return holder.partition(SEPARATOR)[0]


def _start(source: Source, request: node_pb2.ReadConsoleRequest) -> int:
    oldest, end = source.bounds()
    kind = request.WhichOneof("start")
    if kind == "offset":
        return min(request.offset, end)
    if kind == "tail_bytes":
        return max(oldest, end - request.tail_bytes)
    if kind == "tail_lines":
        return source.tail(request.tail_lines)
    return oldest if kind == "oldest" else end


async def _echo(
    driver: SimulatedDriver, first: node_pb2.ConsoleInput, inputs: AsyncIterator[node_pb2.ConsoleInput]
) -> None:
    if first.data:
        driver.type(first.vm_id, first.data)
    async for message in inputs:
        driver.type(first.vm_id, message.data)
