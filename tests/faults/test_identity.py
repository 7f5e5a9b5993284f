"""Who is who: another node answers, two servers at once, clocks that lie: F17, F26, F27."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from qarax_tui.stack import services
from qarax_tui.stack.state import StateDirectory
from tests.faults.client import Answer
from tests.faults.conftest import PARTS, Scenario
from tests.faults.proxy import Proxy
from tests.faults.world import World
from tests.server.running import free_port, until

pytestmark = pytest.mark.faults


async def second_node(world: World, name: str) -> int:
    """Start another node, with a keeper and a runtime directory of its own, and return its port."""
    state = StateDirectory(world.state.path / name)
    state.prepare()
    state.runtime.chmod(0o700)
    port = free_port()
    await world.launch(f"{name}-keeper", services.keeper(state))
    await world.launch(f"{name}-node", services.node(state, port, world.driver))
    return port


@pytest.fixture
async def proxy(bare: World) -> AsyncIterator[Proxy]:
    for name in PARTS:
        await bare.start(name)
    proxy = Proxy(bare.node_port)
    await proxy.heal()
    yield proxy
    await proxy.close()


async def test_f26_another_node_answers(bare: World, proxy: Proxy, scenario: Scenario) -> None:
    world = bare
    async with scenario(world, "F26", "the address answers with another node") as row:
        host_id = await world.add_host(proxy.port)
        vm_id = await world.run_vm()
        world.watch_guests()
        other = await second_node(world, "other")
        await proxy.refuse()
        proxy.target = other
        await proxy.heal()
        began = time.monotonic()
        host = await world.host_is(host_id, "unknown")
        row.downtime = time.monotonic() - began
        assert "misidentified" in host["status_reason"]
        for action in ("stop", "start"):
            answer = await world.request("POST", f"/vms/{vm_id}/{action}")
            assert answer.status in {409, 503}, answer
        assert (await world.request("POST", "/vms", world.new_vm())).status == 422
        assert list((world.state.path / "other" / "vms").glob("*-*-*-*-*")) == []
        await proxy.refuse()
        proxy.target = world.node_port
        await proxy.heal()
        healed = time.monotonic()
        await world.host_is(host_id, "up")
        row.repair = time.monotonic() - healed
        row.outcome = host["status_reason"]


class Standby:
    """A second server on the same database, asked at its own port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.port = free_port()

    async def start(self) -> None:
        service = replace(services.server(self.world.state, self.port))
        await self.world.launch("standby", service, ready=False)
        await until(self.alive, 30)

    async def ask(self, method: str, path: str) -> Answer:
        view = replace(self.world, server_port=self.port)
        return await view.request(method, path)

    async def alive(self) -> bool:
        return (await self.ask("GET", "/healthz")).status == 200

    async def ready(self) -> bool:
        return (await self.ask("GET", "/readyz")).status == 200


async def test_f27_the_active_server_sleeps(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F27", "SIGSTOP of the active server, a start under way") as row:
        slow = await world.boot_source("boot=2")
        vm_ids = [await world.create(boot_source_id=slow) for _ in range(3)]
        standby = Standby(world)
        await standby.start()
        assert (await standby.ask("GET", "/readyz")).status == 503
        assert len((await standby.ask("GET", "/vms")).body) == 3
        starts = [asyncio.create_task(world.request("POST", f"/vms/{each}/start")) for each in vm_ids]
        await until(lambda: _some_vmm(world), 20)
        world.send("server", signal.SIGSTOP)
        began = time.monotonic()
        await until(standby.ready, 40)
        row.downtime = time.monotonic() - began
        assert row.downtime <= 15 * 1.5
        again = await asyncio.gather(*(standby.ask("POST", f"/vms/{each}/start") for each in vm_ids))
        assert {answer.status for answer in again} <= {200, 409, 503}, again
        world.send("server", signal.SIGCONT)
        await asyncio.gather(*starts)
        late = await world.request("POST", f"/vms/{vm_ids[0]}/pause")
        assert late.status in {409, 503}, late
        assert (await world.request("GET", "/readyz")).status == 503
        await world.kill("standby", signal.SIGTERM)
        await until(lambda: _ready(world), 40)
        row.outcome = f"taken over in {row.downtime:.1f} s; the first is told {late.status} {late.code}"


async def _some_vmm(world: World) -> bool:
    return bool(world.vmms())


async def _ready(world: World) -> bool:
    return (await world.request("GET", "/readyz")).status == 200


@pytest.mark.parametrize("shift", ["+3600", "-3600"])
async def test_f17_clocks_that_lie(bare: World, scenario: Scenario, shift: str) -> None:
    """A server whose wall clock is off by an hour; leases are the database's."""
    world = bare
    path = os.pathsep.join([str(clock_directory(world)), os.environ.get("PYTHONPATH", "")])
    async with scenario(world, "F17", f"server and standby {shift} s apart, node too") as row:
        await world.start("keeper")
        await world.start("node", PYTHONPATH=path, SHIFTED_CLOCK=shift)
        await world.start("server", PYTHONPATH=path, SHIFTED_CLOCK=shift)
        host_id = await world.add_host()
        await world.run_vm()
        world.watch_guests()
        standby = Standby(world)
        await standby.start()
        fence = read(world, "SELECT fence FROM lease")
        sequence = (await world.events())[-1]["sequence"]
        await asyncio.sleep(15)
        assert read(world, "SELECT fence FROM lease") == fence
        assert not await standby.ready()
        changes = await world.ok("GET", f"/events?after={sequence}")
        assert [each for each in changes if each["subject_id"] == host_id] == []
        times = {datetime.fromisoformat(each["occurred_at"]) for each in await world.events()}
        assert max(times) - min(times) < timedelta(minutes=10)
        row.outcome = "no lease stolen, no host flips, times are the database's"


def clock_directory(world: World) -> Path:
    """A `sitecustomize` that shifts the wall clock of every Python that imports it.

    gRPC's own Python files are left out: they make absolute deadlines for a C library with the true clock.
    """
    directory = world.state.path / "clock"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import os, sys, time\n_true, _shift = time.time, float(os.environ['SHIFTED_CLOCK'])\n"
        "def shifted():\n"
        "    grpc = sys._getframe(1).f_globals.get('__name__', '').startswith('grpc')\n"
        "    return _true() + (0 if grpc else _shift)\n"
        "time.time = shifted\n"
    )
    return directory


def read(world: World, query: str) -> object:
    connection = psycopg2.connect(world.database.dsn)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()
