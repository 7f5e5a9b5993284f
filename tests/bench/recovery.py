"""P12 and P13: the fleet right again after a restart, and a death that reaches the screen."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

import grpc
import psycopg2
from qarax_proto import node_pb2, node_pb2_grpc

from qarax_tui.stack import services
from tests.bench.fleet import cursor, fleet
from tests.bench.measure import median, percentile, ratios, spread
from tests.bench.rows import Bench, Line, row
from tests.bench.screen import TimedTerminal
from tests.faults.conftest import begin
from tests.faults.world import CLOUD_HYPERVISOR, World, world_on
from tests.tui.terminal.desk import welcomed

HOSTS = 100
LOOK_SECONDS = 0.02
MAKE_WRONG = "UPDATE vms SET status = 'running', status_reason = NULL, observed_generation = 0"
MAKE_RIGHT = """
UPDATE vms SET status = s.status FROM unnest(%s::uuid [], %s::text []) AS s (id, status)
WHERE vms.id = s.id"""
COUNT_WRONG = "SELECT count(*) FROM vms WHERE status <> 'created'"


@row("P12")
async def restart(bench: Bench) -> list[Line]:
    """From the start of the server to every VM right in a database that was wrong about each of them."""
    count = bench.size(10_000, 1_000)
    async with fleet(bench, HOSTS, count) as world:
        mine, other, starts = [], [], []
        for _ in range(bench.rounds):
            mine.append(await restarted(world))
            other.append(await _by_hand(world, count))
            starts.append(await _started(world))
    floor = median(other) + median(starts)
    return [
        Line(
            "P12",
            f"{count:,} VMs on {HOSTS} hosts right after a restart",
            f"{median(mine):.2f} s",
            f"{HOSTS} RPCs + one UPDATE {median(other):.2f} s; with the program's own start {floor:.2f} s",
            "≤ 3 s",
            median(mine) <= 3,
            median(ratios(mine, other)),
            spread(mine),
            "The program's own start, then a transaction per host that also writes an event for each VM, "
            "with the VM before and after.",
            {"server_seconds": mine, "by_hand_seconds": other},
        ),
        Line(
            "P12",
            "of that the program's own start, until it is ready",
            f"{median(starts):.2f} s",
            "–",
            "–",
            None,
            spread=spread(starts),
            samples={"start_seconds": starts},
        ),
    ]


async def _started(world: World) -> float:
    """Kill the server and start it with a database that is right: seconds until it is ready."""
    await world.kill(services.SERVER)
    began = time.monotonic()
    await world.start(services.SERVER)
    return time.monotonic() - began


async def restarted(world: World, seconds: float = 120.0) -> float:
    """Kill the server, make the database wrong about every VM, start the server: seconds until right."""
    await world.kill(services.SERVER)
    with cursor(world.database.dsn) as found:
        found.execute(MAKE_WRONG)
    began = time.monotonic()
    await world.start(services.SERVER, ready=False)
    while wrong := await asyncio.to_thread(_wrong, world):
        assert time.monotonic() - began < seconds, f"{wrong} VMs are wrong after {seconds:.0f} s"
        await asyncio.sleep(LOOK_SECONDS)  # a look is a statement of its own
    return time.monotonic() - began


def _wrong(world: World) -> int:
    with cursor(world.database.dsn) as found:
        found.execute(COUNT_WRONG)
        row_found = found.fetchone()
    assert row_found is not None
    return int(row_found[0])


async def _by_hand(world: World, count: int) -> float:
    """Ask every node for its state and write all of it in one statement."""
    with cursor(world.database.dsn) as found:
        found.execute("SELECT port FROM hosts")
        ports = [port for (port,) in found.fetchall()]
    began = time.monotonic()
    states = [state for states in await asyncio.gather(*map(_snapshot, ports)) for state in states]
    assert len(states) == count
    ids, words = [vm_id for vm_id, _ in states], [word for _, word in states]
    await asyncio.to_thread(_write, world, ids, words)
    return time.monotonic() - began


async def _snapshot(port: int) -> list[tuple[str, str]]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = node_pb2_grpc.NodeStub(channel).Watch(node_pb2.WatchRequest(heartbeat_milliseconds=60_000))
        first = await anext(aiter(stream))
        stream.cancel()
    name = node_pb2.VmState.Status.Name
    return [(vm.vm_id, name(vm.status).removeprefix("STATUS_").lower()) for vm in first.snapshot.vms]


def _write(world: World, ids: list[str], words: list[str]) -> None:
    connection = psycopg2.connect(world.database.dsn)
    try:
        with connection, connection.cursor() as found:
            found.execute(MAKE_RIGHT, (ids, words))
            assert found.rowcount == len(ids)
    finally:
        connection.close()


@row("P13")
async def death(bench: Bench) -> list[Line]:
    """A VMM is killed → the dashboard's row says so."""
    rounds = bench.size(50, 10)
    took = []
    async with world_on(bench.postgres, CLOUD_HYPERVISOR) as world:
        await begin(world)
        vm_id = await world.run_vm()
        with tempfile.TemporaryDirectory() as folder:
            async with TimedTerminal(Path(folder), "--server", world.url) as terminal:
                await welcomed(terminal)
                for _ in range(rounds):
                    await terminal.when(lambda: _row_says(terminal, "running"))
                    ((pid, _),) = world.vmms()[vm_id]
                    began = time.monotonic()
                    os.kill(pid, signal.SIGKILL)
                    took.append(await terminal.when(lambda: _row_says(terminal, "shutdown")) - began)
                    assert (await world.ok("GET", f"/vms/{vm_id}"))["status"] == "shutdown"
                    await world.ok("POST", f"/vms/{vm_id}/start")
    tail = percentile(took, 0.99)
    return [
        Line(
            "P13",
            "a VMM dies → the TUI shows it",
            f"p99 {tail * 1000:.0f} ms (median {median(took) * 1000:.0f})",
            "–",
            "p99 ≤ 300 ms",
            tail <= 0.3,
            spread=spread(took),
            limit="pidfd → the keeper's word → the node's stream → one transaction → NOTIFY → one repaint.",
            samples={"seconds": took},
        )
    ]


def _row_says(terminal: TimedTerminal, word: str) -> bool:
    return any("vm-1 " in line and word in line for line in terminal.lines)
