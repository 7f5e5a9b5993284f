"""P3: from `POST /start` to a VM that runs, against the same hypervisor driven by hand."""

from __future__ import annotations

import asyncio
import tempfile
import time
from http import HTTPStatus
from pathlib import Path

from tests.bench import bare
from tests.bench.load import Wire, connected
from tests.bench.measure import in_turns, median, percentile, ratios, spread
from tests.bench.rows import Bench, Line, row
from tests.fakes.standin_process import StandIn, config
from tests.faults.conftest import begin
from tests.faults.world import CLOUD_HYPERVISOR, CMDLINE, world_on

BOOT_KNOB = "standin.boot=0.02"
SERIAL = {"mode": "Socket", "socket": "serial.sock"}
PAUSE = 0.0005


@row("P3")
async def stand_in_start(bench: Bench) -> list[Line]:
    """REST → 200 against spawn, `vm.create` and `vm.boot` by hand, on a stand-in that boots in 20 ms."""
    rounds = bench.size(100, 20)
    async with world_on(bench.postgres, CLOUD_HYPERVISOR) as world:
        await begin(world)
        source = await world.boot_source(BOOT_KNOB.removeprefix("standin."))
        vm_id = await world.create(boot_source_id=source)
        paused: list[float] = []
        with tempfile.TemporaryDirectory(prefix="qarax-hand-") as place:
            async with connected(world.url) as wire, bare.beside(world) as url, connected(url) as least:

                async def ours() -> float:
                    seconds = await start(wire, vm_id)
                    assert len(world.vmms()[vm_id]) == 1, "not exactly one VMM"
                    paused.append(await _paused(wire, vm_id))
                    await force_stop(wire, vm_id)
                    return seconds

                async def theirs() -> float:
                    return await asyncio.to_thread(_start_by_hand, Path(place))

                async def floor() -> float:
                    return await _bare(least)

                mine, other, handled = await in_turns(rounds, ours, theirs, floor)
    more = (median(mine) - median(other)) * 1000
    tail = (percentile(mine, 0.99) - percentile(other, 0.99)) * 1000
    return [
        Line(
            "P3",
            "start: REST → 200, 20 ms boot",
            f"{median(mine) * 1000:.1f} ms (p99 {percentile(mine, 0.99) * 1000:.1f})",
            f"by hand {median(other) * 1000:.1f} ms (p99 {percentile(other, 0.99) * 1000:.1f}); "
            f"with a bare handler's part {(median(other) + median(handled)) * 1000:.1f} ms",
            f"+ ≤ 8 ms, p99 + ≤ 25 ms: + {more:.1f}, + {tail:.1f}",
            more <= 8 and tail <= 25,
            median(ratios(mine, other)),
            spread(mine),
            "Two transactions that reach the disk (claim and outcome), one RPC and the keeper's spawn lie "
            "around the same hypervisor's own start; a pause goes the same way and starts nothing. A bare "
            "handler does two transactions and an RPC and nothing else: no rules, no history, no keys.",
            {"server_seconds": mine, "by_hand_seconds": other, "bare_handler_seconds": handled},
        ),
        Line(
            "P3",
            "of that the way to the hypervisor and back: pause, REST → 200",
            f"{median(paused) * 1000:.1f} ms (p99 {percentile(paused, 0.99) * 1000:.1f})",
            f"bare aiohttp handler, 2 transactions + 1 RPC {median(handled) * 1000:.1f} ms",
            "–",
            None,
            median(ratios(paused, handled)),
            spread(paused),
            samples={"pause_seconds": paused},
        ),
    ]


async def _paused(wire: Wire, vm_id: str) -> float:
    began = time.perf_counter()
    reply = await wire.ask("POST", f"/vms/{vm_id}/pause")
    seconds = time.perf_counter() - began
    assert reply.status == HTTPStatus.OK, reply
    return seconds


async def _bare(wire: Wire) -> float:
    began = time.perf_counter()
    reply = await wire.ask("POST", "/vms", {"memory_size": 1 << 20})
    seconds = time.perf_counter() - began
    assert reply.status == HTTPStatus.CREATED, reply
    return seconds


async def start(wire: Wire, vm_id: str) -> float:
    """Start a VM; the seconds until the answer."""
    began = time.perf_counter()
    reply = await wire.ask("POST", f"/vms/{vm_id}/start")
    seconds = time.perf_counter() - began
    assert reply.status == HTTPStatus.OK, reply
    assert b'"status":"running"' in reply.body, reply.body
    return seconds


async def force_stop(wire: Wire, vm_id: str) -> None:
    """End a VM at once."""
    reply = await wire.ask("POST", f"/vms/{vm_id}/stop?grace=0")
    assert reply.status == HTTPStatus.OK, reply


def _start_by_hand(place: Path) -> float:
    began = time.perf_counter()
    machine = StandIn(place)
    try:
        while not listens(machine):
            time.sleep(PAUSE)
        body = config(place, f"{CMDLINE} {BOOT_KNOB}", serial=SERIAL, pvpanic=True)
        assert machine.put("vm.create", body)[0] == HTTPStatus.NO_CONTENT
        with machine.connect("serial.sock"):
            assert machine.put("vm.boot")[0] == HTTPStatus.NO_CONTENT
            seconds = time.perf_counter() - began
            assert machine.info()["state"] == "Running"
    finally:
        machine.close()
        for name in ("api.sock", "serial.sock", "api.sock.lock"):
            (place / name).unlink(missing_ok=True)
    return seconds


def listens(machine: StandIn) -> bool:
    """Whether a VMM serves its API already."""
    try:
        machine.connect().close()
    except OSError:
        return False
    return True
