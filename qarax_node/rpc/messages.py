"""What the node knows, as messages of the wire."""

from __future__ import annotations

import socket
from importlib import metadata
from typing import TYPE_CHECKING

from qarax_proto import node_pb2

from qarax_node import processes
from qarax_node.console.pieces import Data, Gap, Piece
from qarax_node.drivers.base import Status, StopHow
from qarax_node.machines import resources

if TYPE_CHECKING:
    from qarax_node.drivers.base import DriverFacts
    from qarax_node.machines.host import Host
    from qarax_node.machines.machine import Machine

VERSION = metadata.version("qarax")
SIMULATED_CPUS = 64
SIMULATED_MEMORY_BYTES = 256 << 30
STATUSES = {
    Status.CREATED: node_pb2.VmState.STATUS_CREATED,
    Status.RUNNING: node_pb2.VmState.STATUS_RUNNING,
    Status.PAUSED: node_pb2.VmState.STATUS_PAUSED,
    Status.SHUTDOWN: node_pb2.VmState.STATUS_SHUTDOWN,
    Status.UNKNOWN: node_pb2.VmState.STATUS_UNKNOWN,
}
HOWS = {
    StopHow.OBEYED: node_pb2.StopOutcome.HOW_OBEYED,
    StopHow.FORCED: node_pb2.StopOutcome.HOW_FORCED,
    StopHow.GUEST_POWEROFF: node_pb2.StopOutcome.HOW_GUEST_POWEROFF,
    StopHow.CRASHED: node_pb2.StopOutcome.HOW_CRASHED,
    StopHow.HOST_REBOOT: node_pb2.StopOutcome.HOW_HOST_REBOOT,
    StopHow.INFERRED: node_pb2.StopOutcome.HOW_INFERRED,
}


def vm_state(machine: Machine) -> node_pb2.VmState:
    """What is observed of one VM."""
    run, stop = machine.run, machine.last_stop
    return node_pb2.VmState(
        vm_id=machine.vm_id,
        status=STATUSES[machine.status],
        reason=machine.reason,
        driver=machine.driver.facts.name if run is None else run.driver,
        pid=run.process.pid if run else 0,
        spec_digest=machine.digest,
        last_stop=node_pb2.StopOutcome(how=HOWS[stop.how], seconds=stop.seconds, detail=stop.detail)
        if stop
        else None,
        started_at_ms=run.started_at_ms if run else 0,
        generation=machine.generation,
        name=machine.wanted.name,
        doing=machine.doing,
    )


def description(host: Host) -> node_pb2.NodeDescription:
    """Who this node is and what its host offers."""
    simulated = host.keeper is None
    return node_pb2.NodeDescription(
        node_id=host.node.facts.node_id,
        boot_id=processes.boot_id(),
        version=VERSION,
        hostname=socket.gethostname(),
        cpus=SIMULATED_CPUS if simulated else resources.cpus(),
        memory_bytes=SIMULATED_MEMORY_BYTES if simulated else resources.memory_bytes(),
        drivers=[_driver(facts) for facts in host.registry.facts()],
        degraded_reason=host.degraded,
        runtime_dir=str(host.settings.runtime_dir),
    )


def _driver(facts: DriverFacts) -> node_pb2.DriverDescription:
    return node_pb2.DriverDescription(
        name=facts.name,
        version=facts.version,
        accelerator=facts.accelerator,
        stand_in=facts.stand_in,
        reason=facts.reason,
        usable=facts.usable,
        capabilities=sorted(facts.capabilities),
    )


def snapshot(host: Host) -> node_pb2.NodeSnapshot:
    """The whole state."""
    return node_pb2.NodeSnapshot(
        node=description(host),
        vms=[vm_state(machine) for machine in host.machines()],
        strangers=host.strangers,
    )


def chunk(piece: Piece) -> node_pb2.ConsoleChunk:
    """A piece of a console."""
    if isinstance(piece, Data):
        return node_pb2.ConsoleChunk(data=node_pb2.ConsoleData(offset=piece.offset, data=piece.data))
    if isinstance(piece, Gap):
        gap = node_pb2.ConsoleGap(offset=piece.offset, bytes=piece.bytes, reason=piece.reason)
        return node_pb2.ConsoleChunk(gap=gap)
    mark = node_pb2.ConsoleMark(offset=piece.offset, time_ms=piece.time_ms, kind=piece.kind, text=piece.text)
    return node_pb2.ConsoleChunk(mark=mark)
