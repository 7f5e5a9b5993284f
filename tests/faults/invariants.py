"""What holds after every scenario, looked at from outside: in /proc, on the node's own wire and over REST.

I1 one VMM per VM · I2 claims are exact · I3 what was acknowledged is so · I4 the database says what the node
sees, within 10 s · I5 nothing is left over · I6 guests keep their processes · I7 every change has its event,
every operation one for its beginning and one for its end, and the newest one of a VM or host shows it as its
GET does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from qarax_proto import node_pb2, node_pb2_grpc

from qarax_node.network.taps import made_name
from tests.faults.world import World
from tests.server.running import until

SECONDS = 10.0
ACTIVE = {"running", "paused"}
ENDS = {("running", each) for each in ("succeeded", "failed", "cancelled")}
UNTOLD = "SELECT name FROM tombstones"
NETWORK = {"id": "net0", "interface_type": "tap"}


async def check(world: World, *, nodes: Sequence[int] = ()) -> float:
    """Check all of them and return how many seconds it took until database and nodes agreed.

    Args:
        world: the control plane; its server and nodes run.
        nodes: more ports of nodes than the world's own.
    """
    began = time.monotonic()
    differences: list[str] = []

    async def agree() -> bool:
        differences[:] = await disagreements(world, [world.node_port, *nodes])
        return not differences

    try:
        await until(agree, SECONDS)
    except TimeoutError:
        raise AssertionError(f"I4: after {SECONDS} s still {differences}") from None
    seconds = time.monotonic() - began
    vms = {vm["id"]: vm for vm in await world.everything("/vms")}
    check_processes(world, vms)
    check_acknowledged(world, vms)
    check_left_over(world, vms)
    check_claims(vms, await world.everything("/hosts"), world)
    await check_events(world)
    await check_told(world)
    return seconds


async def disagreements(world: World, ports: Sequence[int]) -> list[str]:
    """How database and nodes differ, and what is still under way; empty when all is settled."""
    answer = await world.request("GET", "/operations?status=running")
    if answer.status != 200:
        return [f"the server answers {answer.status}"]
    found = [f"{each['action']} of {each['subject_name']} is open" for each in answer.body]
    found += [f"orphan {each['name']} is listed" for each in await world.ok("GET", "/orphans")]
    found += [f"{name}: no node was told that it is gone" for (name,) in world.statement(UNTOLD)]
    listed = {vm["id"]: vm["status"] for vm in await world.everything("/vms")}
    observed: dict[str, str] = {}
    for port in ports:
        try:
            observed |= await ask_node(port)
        except grpc.aio.AioRpcError as error:
            return [f"the node at port {port}: {error.code()}"]
    for vm_id in listed.keys() | observed.keys() - world.ledger.forgiven:
        kept, seen = listed.get(vm_id), observed.get(vm_id)
        if kept != seen:
            found.append(f"VM {vm_id} is {kept} in the database and {seen} on its node")
    return found


async def ask_node(port: int) -> dict[str, str]:
    """Every VM of a node with its status, as the node says on its own wire."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = node_pb2_grpc.NodeStub(channel).Watch(node_pb2.WatchRequest(), timeout=5)
        async for event in stream:
            if event.HasField("snapshot"):
                stream.cancel()
                return {vm.vm_id: status_of(vm) for vm in event.snapshot.vms}
    raise AssertionError(f"the node at port {port} sent no snapshot")


def status_of(vm: node_pb2.VmState) -> str:
    return node_pb2.VmState.Status.Name(vm.status).removeprefix("STATUS_").lower()


def check_processes(world: World, vms: dict[str, Any]) -> None:
    """I1, I6 and the processes of I5."""
    running = world.vmms()
    several = {vm_id: found for vm_id, found in running.items() if len(found) > 1}
    assert not several, f"I1: {several}"
    for vm_id, guest in world.ledger.guests.items():
        assert running.get(vm_id) == [guest], f"I6: VM {vm_id} was {guest}, is {running.get(vm_id)}"
    simulated = {vm_id for vm_id, vm in vms.items() if vm["driver"] == "simulated"}
    active = {vm_id for vm_id, vm in vms.items() if vm["status"] in ACTIVE} - simulated
    known = set(running) - world.ledger.forgiven
    assert known == active, f"I5: processes without a VM {known - active}, VMs without one {active - known}"


def check_acknowledged(world: World, vms: dict[str, Any]) -> None:
    """I3."""
    ledger = world.ledger
    # a deletion that was asked for and not answered may have happened
    lost = ledger.created - ledger.asked_to_delete - ledger.forgiven - vms.keys()
    back = ledger.deleted & vms.keys()
    assert not lost, f"I3: acknowledged and not there: {lost}"
    assert not back, f"I3: deleted and there again: {back}"


def check_left_over(world: World, vms: dict[str, Any]) -> None:
    """I5: directories of VMs that are gone, sockets and taps of VMs that do not run."""
    at_rest = world.ledger.created - {vm_id for vm_id, vm in vms.items() if vm["status"] in ACTIVE}
    taps = {vm_id for vm_id in at_rest - world.ledger.forgiven if has_tap(vm_id)}
    assert not taps, f"I5: taps are left of {taps}"
    for directory in world.state.runtime.iterdir():
        if not directory.is_dir() or len(directory.name) != 36:
            continue
        vm = vms.get(directory.name)
        if directory.name in world.ledger.forgiven:
            continue
        assert vm is not None, f"I5: {directory} is left of a VM that is gone"
        sockets = [each.name for each in directory.iterdir() if each.is_socket()]
        assert vm["status"] in ACTIVE or not sockets, f"I5: {sockets} are left of {vm['name']}"


def has_tap(vm_id: str) -> bool:
    """Whether there is the tap that a node makes for a VM's `NETWORK`."""
    return Path("/sys/class/net", made_name(vm_id, str(NETWORK["id"]))).exists()


def check_claims(vms: dict[str, Any], hosts: list[Any], world: World) -> None:
    """I2."""
    overcommit = float(world.environment["QARAX__PLACEMENT__CPU_OVERCOMMIT"])
    for host in hosts:
        mine = [vm for vm in vms.values() if vm["host_id"] == host["id"]]
        memory = sum(vm["memory_size"] + (vm["memory_hotplug_size"] or 0) for vm in mine)
        claimed = host["allocated_vcpus"], host["allocated_memory_bytes"]
        assert claimed == (sum(vm["boot_vcpus"] for vm in mine), memory), f"I2: {host['name']} {claimed}"
        assert memory <= host["memory_bytes"], f"I2: {host['name']} is over-committed"
        assert host["allocated_vcpus"] <= host["cpus"] * overcommit, f"I2: {host['name']} is over-committed"


async def check_events(world: World) -> None:
    """I7: each acknowledged create and delete has one event, and every event an actor and a request."""
    events = await world.events()
    assert all(event["actor"] and event["request_id"] for event in events), "I7: an event of nobody"
    about_vms = [event for event in events if event["subject_type"] == "vm"]
    counted = Counter((event["action"], event["subject_id"]) for event in about_vms if _ends(event))
    for action, vm_ids in (("create", world.ledger.created), ("delete", world.ledger.deleted)):
        for vm_id in vm_ids - world.ledger.forgiven:
            assert counted[action, vm_id] == 1, f"I7: {counted[action, vm_id]} events: {action} of {vm_id}"
    check_operations(events, await world.everything("/operations"))


def check_operations(events: Sequence[dict[str, Any]], operations: Sequence[dict[str, Any]]) -> None:
    """I7: each operation that is kept began once and ended once."""
    about = [event for event in events if event["subject_type"] == "operation"]
    began = Counter(event["subject_id"] for event in about if event["before"] is None)
    ended = Counter(
        event["subject_id"]
        for event in about
        if event["before"] and (event["before"]["status"], event["after"]["status"]) in ENDS
    )
    for operation in operations:
        told = began[operation["id"]], ended[operation["id"]]
        assert told == (1, 1), f"I7: {told} events of {operation['action']} of {operation['subject_name']}"


async def check_told(world: World) -> None:
    """I7: whoever follows the events knows of VMs and hosts what their GETs say."""
    untold: list[str] = []

    async def agree() -> bool:
        told = {event["subject_id"]: event for event in await world.events()}
        untold[:] = [
            f"{each['name']} is {each['status']}, the newest event is {event['message']!r}"
            for each in (*await world.everything("/vms"), *await world.everything("/hosts"))
            if (event := told.get(each["id"])) and not _shows(event, each)
        ]
        return not untold

    try:
        await until(agree, SECONDS)
    except TimeoutError:
        raise AssertionError(f"I7: {untold}") from None


def _shows(event: dict[str, Any], resource: dict[str, Any]) -> bool:
    after = event["after"] or {}
    return all(after.get(field) == resource[field] for field in ("status", "status_reason"))


def _ends(event: dict[str, Any]) -> bool:
    """Whether this one says that a VM came, or that it went."""
    return event["before"] is None if event["action"] == "create" else event["after"] is None
