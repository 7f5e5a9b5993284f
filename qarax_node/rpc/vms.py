"""The calls about this node and its VMs. Each fences, finds the VM, and lets `machines` do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_proto import node_pb2, node_pb2_grpc

from qarax_node.errors import NodeError
from qarax_node.machines import autostart, counters, stopping
from qarax_node.rpc import messages
from qarax_node.rpc.errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qarax_node.machines.host import Host
    from qarax_node.machines.machine import Machine
    from qarax_node.rpc.errors import Context

HEARTBEAT_SECONDS = 5.0
LEAST_HEARTBEAT_SECONDS = 0.1


class VmCalls(node_pb2_grpc.NodeServicer):
    """The part of the service that is about VMs."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.draining = False

    async def Describe(self, request: node_pb2.DescribeRequest, context: Context) -> node_pb2.NodeDescription:
        del request, context
        return messages.description(self.host)

    async def Watch(
        self, request: node_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[node_pb2.NodeEvent]:
        async with translated(context, "Watch"):
            self.host.node.note_fence(request.fence.number)
            beat = max(LEAST_HEARTBEAT_SECONDS, (request.heartbeat_milliseconds / 1000) or HEARTBEAT_SECONDS)
            watcher = self.host.watchers.add()
            try:
                yield node_pb2.NodeEvent(snapshot=messages.snapshot(self.host))
                count = 0
                while not self.draining:
                    changed = await watcher.take(beat)
                    for vm_id in changed:
                        yield self._event(vm_id)
                    if watcher.node_changed:
                        watcher.node_changed = False
                        yield node_pb2.NodeEvent(node_changed=messages.description(self.host))
                    elif not changed:
                        count += 1
                        yield node_pb2.NodeEvent(heartbeat=node_pb2.Heartbeat(count=count))
            finally:
                self.host.watchers.remove(watcher)

    def _event(self, vm_id: str) -> node_pb2.NodeEvent:
        machine = self.host.find(vm_id)
        if machine is None:
            return node_pb2.NodeEvent(vm_removed=vm_id)
        return node_pb2.NodeEvent(vm_changed=messages.vm_state(machine))

    def _changing(self, fence: node_pb2.Fence, vm_id: str) -> Machine:
        """The VM that a change is about, after the fence."""
        self._may_change(fence)
        return self.host.get(vm_id)

    def _may_change(self, fence: node_pb2.Fence) -> None:
        if self.draining:
            raise NodeError(
                "this node is stopping; try again in a moment", code="node_stopping", kind="unavailable"
            )
        self.host.node.check_fence(fence.number)

    def _state(self, machine: Machine) -> node_pb2.VmState:
        return messages.vm_state(machine)

    async def CreateVm(self, request: node_pb2.CreateVmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "CreateVm"):
            self._may_change(request.fence)
            made = await self.host.create(request.vm_id, request.spec, preflight_only=request.preflight_only)
            return node_pb2.VmState(vm_id=request.vm_id) if made is None else self._state(made)

    async def StartVm(self, request: node_pb2.StartVmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "StartVm"):
            machine = self._changing(request.fence, request.vm_id)
            wanted = request.spec if request.HasField("spec") else None
            await machine.carry_out(machine.start(wanted))
            return self._state(machine)

    async def StopVm(self, request: node_pb2.StopVmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "StopVm"):
            machine = self._changing(request.fence, request.vm_id)
            await machine.carry_out(stopping.stop(machine, request.grace_seconds))
            return self._state(machine)

    async def CancelStop(self, request: node_pb2.VmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "CancelStop"):
            machine = self._changing(request.fence, request.vm_id)
            await stopping.cancel(machine)
            return self._state(machine)

    async def PauseVm(self, request: node_pb2.VmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "PauseVm"):
            machine = self._changing(request.fence, request.vm_id)
            await machine.carry_out(machine.pause())
            return self._state(machine)

    async def ResumeVm(self, request: node_pb2.VmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "ResumeVm"):
            machine = self._changing(request.fence, request.vm_id)
            await machine.carry_out(machine.resume())
            return self._state(machine)

    async def RebootVm(self, request: node_pb2.VmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "RebootVm"):
            machine = self._changing(request.fence, request.vm_id)
            await machine.carry_out(machine.reboot())
            return self._state(machine)

    async def DeleteVm(self, request: node_pb2.VmRequest, context: Context) -> node_pb2.DeleteVmResponse:
        async with translated(context, "DeleteVm"):
            self._may_change(request.fence)
            await self.host.delete(request.vm_id)
            return node_pb2.DeleteVmResponse()

    async def SetAutostart(self, request: node_pb2.SetAutostartRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "SetAutostart"):
            machine = self._changing(request.fence, request.vm_id)
            await machine.carry_out(autostart.keep(machine, autostart=request.autostart))
            return self._state(machine)

    async def GetVm(self, request: node_pb2.GetVmRequest, context: Context) -> node_pb2.VmState:
        async with translated(context, "GetVm"):
            self.host.node.note_fence(request.fence.number)
            return self._state(self.host.get(request.vm_id))

    async def GetSpec(self, request: node_pb2.GetVmRequest, context: Context) -> node_pb2.VmSpec:
        async with translated(context, "GetSpec"):
            return self.host.get(request.vm_id).wanted

    async def GetCounters(self, request: node_pb2.GetVmRequest, context: Context) -> node_pb2.VmCounters:
        async with translated(context, "GetCounters"):
            counted = await counters.read(self.host.get(request.vm_id))
            memory = counted.get("vmm", {}).get("memory_actual_size")
            devices = {name: node_pb2.VmCounters.Device(values=values) for name, values in counted.items()}
            return node_pb2.VmCounters(devices=devices, memory_actual_size=memory)
