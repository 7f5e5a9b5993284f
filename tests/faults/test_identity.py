"""Who is who: another node answers, two servers at once, clocks that lie: F17, F26, F27."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest
from qarax_proto import node_pb2, node_pb2_grpc

from qarax_tui.stack import services
from tests.faults.client import Answer
from tests.faults.conftest import PARTS, Scenario
from tests.faults.proxy import Proxy
from tests.faults.world import World
from tests.ports import free_port
from tests.server.running import patience, until

pytestmark = pytest.mark.faults


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
        other = await world.second_node("other")
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
        ((older,),) = world.statement("SELECT fence FROM lease")
        world.send("server", signal.SIGSTOP)
        began = time.monotonic()
        await until(standby.ready, 40)
        row.downtime = time.monotonic() - began
        assert row.downtime <= 15 * 1.5 * patience()
        again = await asyncio.gather(*(standby.ask("POST", f"/vms/{each}/start") for each in vm_ids))
        assert {answer.status for answer in again} <= {200, 409, 503}, again
        await refused_by_the_node(world, vm_ids[0], older)
        world.send("server", signal.SIGCONT)
        slept = await asyncio.gather(*starts)
        assert {answer.status for answer in slept} <= {0, 200, 409, 503, 504}, slept
        late = await world.request("POST", f"/vms/{vm_ids[0]}/pause")
        assert late.status in {409, 503}, late
        assert (await world.request("GET", "/readyz")).status == 503
        await world.kill("standby", signal.SIGTERM)
        await until(lambda: _ready(world), 40)
        row.outcome = f"taken over in {row.downtime:.1f} s; the first is told {late.status} {late.code}"


async def refused_by_the_node(world: World, vm_id: str, fence: int) -> None:
    """Wait until the node, which the newer server looks at, refuses what the older one would ask."""
    request = node_pb2.VmRequest(fence=node_pb2.Fence(number=fence), vm_id=vm_id)

    async def refused() -> bool:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{world.node_port}") as channel:
            try:
                await node_pb2_grpc.NodeStub(channel).ResumeVm(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.ABORTED
        return False

    await until(refused, 10)


async def _some_vmm(world: World) -> bool:
    return bool(world.vmms())


async def _ready(world: World) -> bool:
    return (await world.request("GET", "/readyz")).status == 200


@pytest.mark.parametrize(
    ("shifts", "parts"),
    [
        (("3600",), ("server",)),
        (("-3600",), ("server",)),
        (("3600",), ("node", "keeper")),
        (("-3600",), ("node", "keeper")),
        (("0", "3600", "-3600", "0"), PARTS),
    ],
)
async def test_f17_clocks_that_lie(
    bare: World, scenario: Scenario, shifts: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    """The wall clock of server or node is off, or is set while it runs; leases are the database's."""
    world = bare
    clock = world.state.path / "clock"
    path, shift = clock_directory(clock), clock / "shift"
    load = f"clock of {', '.join(parts)} off by {' then '.join(shifts)} s"
    async with scenario(world, "F17", load) as row:
        shift.write_text(shifts[0])
        lying = {"PYTHONPATH": path, "SHIFTED_CLOCK": str(shift)}
        for part in PARTS:
            await world.start(part, ready=True, **(lying if part in parts else {}))
        host_id = await world.add_host()
        vm_id = await world.run_vm()
        world.watch_guests()
        standby = Standby(world)
        await standby.start()
        fence = world.statement("SELECT fence FROM lease")
        sequence = (await world.events())[-1]["sequence"]
        for seconds in shifts:
            shift.write_text(seconds)
            await asyncio.sleep(15 if len(shifts) == 1 else 6)  # the time in which nothing is to happen
            assert (await world.ok("POST", f"/vms/{vm_id}/pause"))["status"] == "paused"
            assert (await world.ok("POST", f"/vms/{vm_id}/resume"))["status"] == "running"
        assert world.statement("SELECT fence FROM lease") == fence
        assert not await standby.ready()
        changes = await world.ok("GET", f"/events?after={sequence}")
        assert [each for each in changes if each["subject_id"] == host_id] == []
        times = {datetime.fromisoformat(each["occurred_at"]) for each in await world.events()}
        assert max(times) - min(times) < timedelta(minutes=10)
        row.outcome = "no lease stolen, no host flips, times are the database's"


@pytest.mark.parametrize("shift", ["1 hour", "-1 hour"])
async def test_f17_the_databases_clock_is_set(world: World, scenario: Scenario, shift: str) -> None:
    """Set back, the lease ends an hour later than it should; set forward, at once."""
    async with scenario(
        world, "F17", f"PostgreSQL's clock set by {shift}, then the active server dies"
    ) as row:
        await world.run_vm()
        world.watch_guests()
        standby = Standby(world)
        await standby.start()
        began = time.monotonic()
        await world.kill("server")
        world.statement("UPDATE lease SET expires_at = expires_at - %s::interval RETURNING fence", shift)
        await until(standby.ready, 40)
        row.downtime = time.monotonic() - began
        assert row.downtime <= 15 * 1.5 * patience()
        await world.kill("standby", signal.SIGTERM)
        await world.start("server")
        row.outcome = f"taken over in {row.downtime:.1f} s"


def clock_directory(directory: Path) -> str:
    """A `sitecustomize` that shifts the wall clock of every Python that imports it, by what a file says.

    gRPC's own Python files are left out: they make absolute deadlines for a C library with the true clock.
    """
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "_true, _file = time.time, os.open(os.environ['SHIFTED_CLOCK'], os.O_RDONLY | os.O_CLOEXEC)\n"
        "def shifted():\n"
        "    grpc = sys._getframe(1).f_globals.get('__name__', '').startswith('grpc')\n"
        "    return _true() + (0 if grpc else float(os.pread(_file, 20, 0) or 0))\n"
        "time.time = shifted\n"
    )
    return os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])
