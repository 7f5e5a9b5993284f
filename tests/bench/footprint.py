"""P10 and P11: memory per VM, and what a node that has nothing to do costs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.fleet import fleet
from tests.bench.load import all_at_once, connected
from tests.bench.measure import median, slope, spread
from tests.bench.rows import Bench, Line, row
from tests.bench.screen import TimedTerminal
from tests.bench.usage import MIB, processor_share, settled_memory
from tests.faults.conftest import begin
from tests.faults.world import CLOUD_HYPERVISOR, World, world_on
from tests.tui.terminal.desk import welcomed
from tests.tui.terminal.test_on_a_terminal import busy_plane

WARM_UP_LISTS = 3
SERVER_HOSTS = 100
STARTS_AT_ONCE = 4
PER = 1000
SHARES = {100: 0.002, 1000: 0.01}


@dataclass
class Crowd:
    """A real node with stand-in VMMs: memory (bytes) and shares of a core by how many run."""

    node: dict[int, int] = field(default_factory=dict)
    keeper: dict[int, int] = field(default_factory=dict)
    idle: dict[int, list[float]] = field(default_factory=dict)


_crowds: dict[bool, Crowd] = {}


@row("P10")
async def memory(bench: Bench) -> list[Line]:
    """Private memory over the number of VMs, after warm-up."""
    sizes = (0, 1_000, bench.size(10_000, 3_000))
    server = {count: await _server_memory(bench, count) for count in sizes}
    bench.say("   server measured")
    dashboard = {count: await _dashboard_memory(max(1, count)) for count in sizes}
    bench.say("   dashboard measured")
    crowd = await _crowd(bench)
    both = {count: crowd.node[count] + crowd.keeper[count] for count in crowd.node}
    return [
        _line(
            "server",
            server,
            1.0,
            "Nothing is kept of a VM. What stays is from the time when all hosts answered at once: Python's "
            "arenas with something alive in them, and the buffers of connections that wrote a host's events.",
        ),
        _line(
            "dashboard",
            dashboard,
            1.0,
            "One record of a VM with the fields that are shown, and its place in the order; the rest is the "
            "allocator's share of a page and of sorting.",
        ),
        _line(
            "node + keeper",
            both,
            4.0,
            "Its spec as bytes, a lock, what tells its process from others, the place in its events; in the "
            "keeper its serial socket and its log's offsets. Some 1.3 KB of objects in each; the rest is the "
            "allocators' share.",
        ),
    ]


def _line(what: str, found: Mapping[int, int], most: float, limit: str) -> Line:
    per = slope([float(count) for count in found], [used / MIB for used in found.values()]) * PER
    told = ", ".join(f"{count:,}: {used / MIB:.0f}" for count, used in found.items())
    return Line(
        "P10",
        f"memory per 1,000 VMs: {what}",
        f"{per:.2f} MB",
        f"MB at {told}",
        f"≤ {most:g} MB",
        per <= most,
        limit=limit,
        samples={f"{what}_bytes": [list(pair) for pair in found.items()]},
    )


async def _server_memory(bench: Bench, count: int) -> int:
    async with fleet(bench, SERVER_HOSTS, count) as world, connected(world.url) as wire:
        for _ in range(WARM_UP_LISTS):
            listed = await wire.ask("GET", "/vms")
            assert listed.body.count(b'"hypervisor":') == count
            await wire.ask("GET", "/vms?limit=100")
        return await settled_memory(world.parts["server"].pid)


async def _dashboard_memory(count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with busy_plane(count, 0) as url, TimedTerminal(Path(folder), "--server", url) as terminal:
            await welcomed(terminal)
            await terminal.when(lambda: f"{count:,} VM" in terminal.text)
            for key in "jjjkkk":
                terminal.press(key)
            return await settled_memory(terminal.pid)


@row("P11")
async def idle(bench: Bench) -> list[Line]:
    """The node's processor time while its VMs run and nothing is asked of it but heartbeats."""
    crowd = await _crowd(bench)
    return [
        Line(
            "P11",
            f"node idle, {count:,} VMs",
            f"{median(shares):.2%} of a core",
            "–",
            f"≤ {SHARES[count]:.1%}" if count in SHARES else "–",
            median(shares) <= SHARES[count] if count in SHARES else None,
            spread=spread(shares),
            limit="A heartbeat is all that the node does: deaths are told by pidfd, nothing is polled. "
            "gRPC's own threads wake some twenty times a second.",
            samples={"share_of_a_core": shares},
        )
        for count, shares in crowd.idle.items()
    ]


async def _crowd(bench: Bench) -> Crowd:
    """Measured once for both rows."""
    if bench.quick not in _crowds:
        _crowds[bench.quick] = await _measure_crowd(bench, (0, 100, bench.size(1_000, 200)))
    return _crowds[bench.quick]


async def _measure_crowd(bench: Bench, sizes: tuple[int, ...]) -> Crowd:
    crowd = Crowd()
    async with _one_host(bench) as world:
        await _warm_up(world)
        there = 0
        for count in sizes:
            await _run_more(world, count - there)
            there = count
            node, keeper = world.parts["node"].pid, world.parts["keeper"].pid
            crowd.node[count] = await settled_memory(node)
            crowd.keeper[count] = await settled_memory(keeper)
            if count:
                crowd.idle[count] = [
                    await processor_share(node, bench.size(10, 2)) for _ in range(bench.rounds)
                ]
            assert len(world.vmms()) == count, "a VMM is missing"
            bench.say(f"   a node with {count:,} VMMs measured")
    return crowd


@contextlib.asynccontextmanager
async def _one_host(bench: Bench) -> AsyncIterator[World]:
    async with world_on(bench.postgres, CLOUD_HYPERVISOR) as world:
        world.environment["QARAX__PLACEMENT__MEMORY_OVERCOMMIT"] = "1000"
        yield await begin(world)


async def _warm_up(world: World) -> None:
    """What the first VMs cost a node once: threads, connections, code that had not run yet."""
    await _run_more(world, STARTS_AT_ONCE)
    for vm in await world.ok("GET", "/vms"):
        await world.ok("POST", f"/vms/{vm['id']}/stop?grace=0")
        await world.ok("DELETE", f"/vms/{vm['id']}")


async def _run_more(world: World, count: int) -> None:
    bodies = [("/vms", world.new_vm()) for _ in range(count)]
    _, answers = await all_at_once(world.url, "POST", bodies, STARTS_AT_ONCE, 201)
    starts = [(f"/vms/{answer.decode()}/start", None) for answer in answers]
    await all_at_once(world.url, "POST", starts, STARTS_AT_ONCE, 200)
