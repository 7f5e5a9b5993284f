"""One point of the growth curves: what a control plane of this size costs."""

from __future__ import annotations

import asyncio
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from qarax_tui.stack import services
from tests.bench.load import Wire, connected
from tests.bench.measure import median, percentile
from tests.bench.recovery import restarted
from tests.bench.screen import TimedTerminal
from tests.bench.usage import MIB, processor_share, settled_memory
from tests.faults.world import World
from tests.tui.terminal.desk import welcomed

QUANTITIES = {
    "list": "ms",
    "page": "ms",
    "create": "ms",
    "fan-out to 50 watchers": "ms",
    "reconcile": "s",
    "server memory": "MB",
    "dashboard memory": "MB",
    "dashboard start": "s",
}
WATCHERS = 50
LISTS, PAGES, CREATES, CHANGES = 5, 40, 20, 10
HEARTBEAT_SECONDS = 20.0
MANY_PAGES = 300
START_SECONDS = 300.0
Place = tuple[int, int]


async def measure_point(world: World, place: Place) -> dict[str, float]:
    """Every quantity; the restart comes last, so that memory is that of a server in use."""
    found: dict[str, float] = {}
    async with connected(world.url) as wire:
        found["list"] = await _listing(wire, place[1])
        found["page"] = median(await _paging(wire, PAGES))
        found["create"] = await _creating(world, wire)
        found["fan-out to 50 watchers"] = await _fan_out(world, wire)
    found["server memory"] = await settled_memory(world.parts[services.SERVER].pid) / MIB
    found["dashboard start"], found["dashboard memory"] = await _dashboard(world, place[1] + CREATES)
    found["reconcile"] = await restarted(world, seconds=START_SECONDS)
    return found


async def measure_busiest(world: World, place: Place) -> dict[str, float]:
    """Many hosts and many VMs: what their heartbeats cost the server, and the slowest of many pages."""
    share = await processor_share(world.parts[services.SERVER].pid, HEARTBEAT_SECONDS)
    async with connected(world.url) as wire:
        pages = await _paging(wire, MANY_PAGES)
        listed = await _listing(wire, place[1])
        created = await _creating(world, wire)
    reconciled = await restarted(world, seconds=START_SECONDS)
    return {
        "heartbeats (% of a core, goal ≤ 30)": share * 100,
        "page p99 (ms, goal < 100)": percentile(pages, 0.99),
        "list": listed,
        "create": created,
        "reconcile": reconciled,
    }


async def _listing(wire: Wire, count: int) -> float:
    took = []
    for _ in range(LISTS):
        began = time.perf_counter()
        reply = await wire.ask("GET", "/vms")
        took.append((time.perf_counter() - began) * 1000)
        assert reply.body.count(b'"hypervisor":') >= count
    return median(took)


async def _paging(wire: Wire, count: int) -> list[float]:
    """Milliseconds of pages one after the other, to the end of the list and again from its beginning."""
    took, first = [], "/vms?limit=100"
    path = first
    for _ in range(count):
        began = time.perf_counter()
        reply = await wire.ask("GET", path)
        took.append((time.perf_counter() - began) * 1000)
        assert reply.status == HTTPStatus.OK, reply
        path = reply.header(b"link").partition(b">")[0].decode().removeprefix("<") or first
    return took


async def _creating(world: World, wire: Wire) -> float:
    took = []
    for _ in range(CREATES):
        began = time.perf_counter()
        reply = await wire.ask("POST", "/vms", world.new_vm())
        took.append((time.perf_counter() - began) * 1000)
        assert reply.status == HTTPStatus.CREATED, reply
    return median(took)


async def _fan_out(world: World, wire: Wire) -> float:
    """From a change's request until the last of 50 watchers has its event."""
    vm_id = await world.create()
    watchers = [await _watching(world) for _ in range(WATCHERS)]
    took = []
    try:
        for number in range(CHANGES):
            mark = f"change-{number}-of-{vm_id}".encode()
            began = time.perf_counter()
            arrivals = [asyncio.create_task(_sees(reader, mark)) for reader, _ in watchers]
            reply = await wire.ask("PATCH", f"/vms/{vm_id}", {"description": mark.decode()})
            assert reply.status == HTTPStatus.OK, reply
            took.append((max(await asyncio.gather(*arrivals)) - began) * 1000)
    finally:
        for _, writer in watchers:
            writer.close()
    return median(took)


async def _watching(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream of events that has said hello."""
    parts = urlsplit(world.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**22)
    writer.write(
        f"GET /events HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    await reader.readuntil(b"event: hello\n")
    return reader, writer


async def _sees(reader: asyncio.StreamReader, mark: bytes) -> float:
    async with asyncio.timeout(START_SECONDS):
        await reader.readuntil(b'"description":"' + mark)
    return time.perf_counter()


async def _dashboard(world: World, count: int) -> tuple[float, float]:
    """Seconds to the first row, and MB once all are there."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        async with TimedTerminal(home, "--server", world.url) as first:
            await welcomed(first)
        began = time.monotonic()
        async with TimedTerminal(home, "--server", world.url) as terminal:
            started = await terminal.when(lambda: "vm-0000" in terminal.text, START_SECONDS) - began
            await terminal.when(lambda: f"{count + 1:,} VM" in terminal.text, START_SECONDS)
            return started, await settled_memory(terminal.pid) / MIB
