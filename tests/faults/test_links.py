"""The link between server and node is cut or flaps: F4, F5."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import pstdev

import pytest

from tests.faults.conftest import PARTS, Scenario
from tests.faults.invariants import ask_node
from tests.faults.proxy import Proxy
from tests.faults.world import World
from tests.server.running import patience

pytestmark = pytest.mark.faults
GUESTS = 3


@pytest.fixture
async def proxy(bare: World) -> AsyncIterator[Proxy]:
    """The link to the node of `bare`, whose control plane runs."""
    for name in PARTS:
        await bare.start(name)
    proxy = Proxy(bare.node_port)
    await proxy.heal()
    yield proxy
    await proxy.close()


@pytest.mark.parametrize("how", ["refused", "black-holed"])
async def test_f4_server_and_node_cut_apart(bare: World, proxy: Proxy, scenario: Scenario, how: str) -> None:
    world = bare
    host_id = await world.add_host(proxy.port)
    elsewhere = await world.second_node("other")
    async with scenario(world, "F4", f"{how}, 10 guests, another host", nodes=(elsewhere,)) as row:
        guests, resting = await world.run_vms(10), await world.create()
        world.watch_guests()
        other_id = await world.add_host(elsewhere, "host-2")
        await (proxy.refuse() if how == "refused" else asyncio.to_thread(proxy.swallow))
        began = time.monotonic()
        await ends_soon(world, [f"/vms/{each}/pause" for each in guests[:3]] + [f"/vms/{resting}/start"])
        await world.host_is(host_id, "unknown")
        row.downtime = time.monotonic() - began
        assert row.downtime <= 15 * 1.5 * patience()
        assert {vm["status"] for vm in await world.everything("/vms")} == {"unknown"}
        seconds = await ends_soon(world, [f"/vms/{each}/stop" for each in guests[3:]])
        placed = await world.ok("GET", f"/vms/{await world.create()}")
        assert placed["host_id"] == other_id, "a host that is away is not scheduled on"
        assert await ask_node(elsewhere) == {placed["id"]: "created"}, "nothing was started elsewhere"
        await proxy.heal()
        healed = time.monotonic()
        await world.host_is(host_id, "up")
        row.repair = time.monotonic() - healed
        assert row.repair <= 10 * 1.5 * patience()
        row.outcome = f"unknown after {row.downtime:.1f} s, calls end in {seconds:.1f} s"


async def ends_soon(world: World, paths: Sequence[str]) -> float:
    """Ask all of these at once: each ends with 503 or 504 within 5 s; the longest."""
    answers = await asyncio.gather(*(world.request("POST", path) for path in paths))
    assert {answer.status for answer in answers} <= {503, 504}, answers
    longest = max(answer.seconds for answer in answers)
    assert longest < 5 * 1.5 * patience()
    return longest


async def test_f5_a_flapping_link(bare: World, proxy: Proxy, scenario: Scenario) -> None:
    world = bare
    async with scenario(world, "F5", "1 s up, 1 s refused, for 60 s") as row:
        await world.add_host(proxy.port)
        await world.run_vms(GUESTS)
        world.watch_guests()
        descriptors = {part: open_files(world, part) for part in PARTS}
        dialled, began = len(proxy.dialled), time.monotonic()
        sequence = (await world.events())[-1]["sequence"]
        for _ in range(30):
            await proxy.refuse()
            await asyncio.sleep(1)
            await proxy.heal()
            await asyncio.sleep(1)
        changes = await world.ok("GET", f"/events?after={sequence}")
        turns = [each for each in changes if each["subject_type"] == "host"]
        # ten seconds of bad luck in a row make it unknown once; more is a storm
        assert len(turns) <= 2, [each["message"] for each in changes]
        assert len(changes) <= len(turns) * (1 + GUESTS), [each["message"] for each in changes]
        for part, count in descriptors.items():
            assert open_files(world, part) <= count + 5, part
        moments = [moment - began for moment in proxy.dialled[dialled:]]
        assert 10 <= len(moments) <= 60, "one to a second, and never all at once"
        pauses = [after - before for before, after in pairwise(moments)]
        assert pstdev(pauses) > 0.1, f"no jitter: {pauses}"
        row.outcome = f"{len(changes)} events, {len(moments)} connections, descriptors flat"


def open_files(world: World, part: str) -> int:
    """How many descriptors a part has."""
    return len(list(Path(f"/proc/{world.parts[part].pid}/fd").iterdir()))
