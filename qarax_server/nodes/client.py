"""The calls to one host's node, each with its deadline, the fencing number and the request id.

A call ends early when the node has been silent for `patience` seconds: it then counts as timed out, which is
not a failure. Whoever hears from the node (its event stream) calls `heard`.
The next step is the node's `rpc/`; the next step up is `control/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from qarax_proto import node_pb2, node_pb2_grpc

from qarax_server import caller, measures
from qarax_server.errors import NodeTimeout, NodeUnavailable, OlderFence
from qarax_server.models import Boot, DiskFile, Vm
from qarax_server.nodes import wire
from qarax_server.nodes.failures import translated
from qarax_server.observed import NodeEvent, NodeFacts, Observation

SHORT, BOOT, MARGIN = 5.0, 60.0, 15.0


class Fencing(Protocol):
    """Where the fencing number comes from, and who is told when it is refused."""

    fence: int
    on_older_fence: Callable[[], None]


@dataclass
class Patience:
    """How long each running call may still wait; hearing from the node renews it."""

    seconds: float
    waiting: set[asyncio.Timeout] = field(default_factory=set)

    def heard(self) -> None:
        """Give every running call its full patience again."""
        until = asyncio.get_running_loop().time() + self.seconds
        for timeout in self.waiting:
            timeout.reschedule(until)


class NodeClient:
    """One host's node."""

    def __init__(
        self, host_name: str, channel: grpc.aio.Channel, fencing: Fencing, patience: Patience
    ) -> None:
        self.host_name = host_name
        self.channel = channel
        self.stub = node_pb2_grpc.NodeStub(channel)
        self._fencing = fencing
        self.patience = patience

    async def describe(self, deadline: float = 3.0) -> NodeFacts:
        """Ask who it is and what its host offers."""
        return wire.facts(await self.call(self.stub.Describe, node_pb2.DescribeRequest(), deadline))

    async def watch(self, heartbeat_seconds: float) -> AsyncGenerator[NodeEvent, None]:
        """Yield the node's whole state, then every change; endless, until the connection ends."""
        milliseconds = int(heartbeat_seconds * 1000)
        request = node_pb2.WatchRequest(heartbeat_milliseconds=milliseconds, fence=self.fence())
        with translated(self.host_name):
            async for message in self.stub.Watch(request, metadata=_metadata()):
                self.patience.heard()
                if (event := wire.event(message)) is not None:
                    yield event
        raise NodeUnavailable(f"the node of host {self.host_name} ended its event stream")

    async def create_vm(
        self, vm: Vm, boot: Boot, disks: Sequence[DiskFile], *, preflight_only: bool = False
    ) -> Observation:
        """Preflight, directory and spec; no VMM yet."""
        request = node_pb2.CreateVmRequest(
            fence=self.fence(),
            vm_id=vm.id,
            spec=wire.spec_message(vm, boot, disks),
            preflight_only=preflight_only,
        )
        return await self._change(self.stub.CreateVm, request, MARGIN)

    async def start_vm(self, vm: Vm, boot: Boot, disks: Sequence[DiskFile]) -> Observation:
        """Spawn and boot; a VM that runs already is left alone."""
        request = node_pb2.StartVmRequest(
            fence=self.fence(), vm_id=vm.id, spec=wire.spec_message(vm, boot, disks)
        )
        return await self._change(self.stub.StartVm, request, BOOT)

    async def stop_vm(self, vm_id: str, grace_seconds: int) -> Observation:
        """Power button, then force after the grace; returns when the VMM is gone."""
        request = node_pb2.StopVmRequest(fence=self.fence(), vm_id=vm_id, grace_seconds=grace_seconds)
        return await self._change(self.stub.StopVm, request, grace_seconds + MARGIN)

    async def cancel_stop(self, vm_id: str) -> Observation:
        """End a stop that waits for its guest, without force. Conflict when there is none, or too late."""
        return await self._change(self.stub.CancelStop, self._vm(vm_id), SHORT)

    async def pause_vm(self, vm_id: str) -> Observation:
        """Freeze it."""
        return await self._change(self.stub.PauseVm, self._vm(vm_id), MARGIN)

    async def resume_vm(self, vm_id: str) -> Observation:
        """Go on."""
        return await self._change(self.stub.ResumeVm, self._vm(vm_id), MARGIN)

    async def reboot_vm(self, vm_id: str) -> Observation:
        """Restart the guest."""
        return await self._change(self.stub.RebootVm, self._vm(vm_id), BOOT)

    async def set_autostart(self, vm_id: str, *, autostart: bool) -> Observation:
        """Say whether it is started again after a reboot of its host."""
        request = node_pb2.SetAutostartRequest(fence=self.fence(), vm_id=vm_id, autostart=autostart)
        return await self._change(self.stub.SetAutostart, request, SHORT)

    async def delete_vm(self, vm_id: str) -> None:
        """End the VMM at once and remove everything of the VM; one that is not there is success."""
        await self.call(self.stub.DeleteVm, self._vm(vm_id), 2 * MARGIN)

    async def get_vm(self, vm_id: str) -> Observation:
        """Look at one VM; NotFound when the node does not have it."""
        request = node_pb2.GetVmRequest(vm_id=vm_id, fence=self.fence())
        return wire.observation(await self.call(self.stub.GetVm, request, SHORT))

    async def get_counters(self, vm_id: str) -> dict[str, Any]:
        """Read the counters of a VM."""
        message = await self.call(self.stub.GetCounters, node_pb2.GetVmRequest(vm_id=vm_id), SHORT)
        return wire.counters(message)

    def fence(self) -> node_pb2.Fence:
        """The fencing number that every changing call carries."""
        return node_pb2.Fence(number=self._fencing.fence)

    async def call(self, method: Any, request: Any, deadline: float) -> Any:
        """Make one call.

        Raises:
            NodeTimeout: no answer in time, or the node fell silent; the outcome is not known.
            NodeUnavailable: the node cannot be reached, or is degraded.
            Invalid, Conflict, NotFound, OlderFence: the node refused, in its own words.
        """
        patience = asyncio.timeout(self.patience.seconds)
        try:
            async with patience:
                self.patience.waiting.add(patience)
                with measures.node_call(type(request).__name__), translated(self.host_name):
                    return await method(request, timeout=deadline, metadata=_metadata())
        except OlderFence:
            self._fencing.on_older_fence()
            raise
        except TimeoutError as error:
            raise NodeTimeout(f"the node of host {self.host_name} fell silent during the call") from error
        finally:
            self.patience.waiting.discard(patience)

    async def _change(self, method: Any, request: Any, deadline: float) -> Observation:
        return wire.observation(await self.call(method, request, deadline))

    def _vm(self, vm_id: str) -> node_pb2.VmRequest:
        return node_pb2.VmRequest(fence=self.fence(), vm_id=vm_id)


def _metadata() -> tuple[tuple[str, str], ...]:
    return (("x-request-id", caller.current().request_id),)
