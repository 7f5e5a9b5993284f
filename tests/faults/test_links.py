"""The link between server and node is cut or flaps: F4, F5."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.conftest import PARTS, Scenario
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
    async with scenario(world, "F4", f"{how}, 10 guests") as row:
        host_id = await world.add_host(proxy.port)
        guests = await world.run_vms(10)
        world.watch_guests()
        await (proxy.refuse() if how == "refused" else asyncio.to_thread(proxy.swallow))
        began = time.monotonic()
        refused = await asyncio.gather(*(world.request("POST", f"/vms/{each}/pause") for each in guests[:3]))
        assert {answer.status for answer in refused} <= {503, 504}, refused
        assert max(answer.seconds for answer in refused) < 5 * 1.5 * patience()
        await world.host_is(host_id, "unknown")
        row.downtime = time.monotonic() - began
        assert row.downtime <= 15 * 1.5 * patience()
        assert {vm["status"] for vm in await world.everything("/vms")} == {"unknown"}
        other = await world.request("POST", "/vms", world.new_vm())
        assert (other.status, other.code) == (422, "no_host_fits")
        await proxy.heal()
        healed = time.monotonic()
        await world.host_is(host_id, "up")
        row.repair = time.monotonic() - healed
        assert row.repair <= 10 * 1.5 * patience()
        row.outcome = f"unknown after {row.downtime:.1f} s, calls end in {refused[0].seconds:.1f} s"


async def test_f5_a_flapping_link(bare: World, proxy: Proxy, scenario: Scenario) -> None:
    world = bare
    async with scenario(world, "F5", "1 s up, 1 s refused, for 60 s") as row:
        await world.add_host(proxy.port)
        await world.run_vms(GUESTS)
        world.watch_guests()
        descriptors, connections = open_files(world), proxy.connections
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
        assert open_files(world) <= descriptors + 5
        dialled = proxy.connections - connections
        assert 10 <= dialled <= 60, "one to a second, and never all at once"
        row.outcome = f"{len(changes)} events, {dialled} connections, descriptors flat"


def open_files(world: World) -> int:
    """How many descriptors the server has."""
    return len(list(Path(f"/proc/{world.parts['server'].pid}/fd").iterdir()))
