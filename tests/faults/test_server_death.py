"""The server is killed, stopped or repeated at: F1, F9, F28."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import grpc
import pytest
from qarax_proto import node_pb2, node_pb2_grpc

from tests.faults.conftest import Scenario
from tests.faults.load import under_load
from tests.faults.world import World
from tests.server.running import new_vm, patience, until

pytestmark = pytest.mark.faults

CREATING = ("create.claimed", "create.inserted", "create.kept", "create.answered", "create.settling")
DRIVING = tuple(
    f"{action}.{step}"
    for action in ("start", "stop", "delete")
    for step in ("claimed", "answered", "settling")
)
LEADS = {"start": "running", "stop": "shutdown"}
KEY = {"Idempotency-Key": "the-key"}


async def reborn(world: World) -> float:
    """Start the server again and return the seconds until it is ready."""
    began = time.monotonic()
    await world.start("server")
    return time.monotonic() - began


@pytest.mark.parametrize("step", CREATING)
async def test_f1_killed_while_creating(world: World, scenario: Scenario, step: str) -> None:
    async with scenario(world, "F1", f"kill -9 at {step}") as row:
        await world.kill("server")
        await world.start("server", QARAX_FAILPOINT=step)
        assert (await world.request("POST", "/vms", new_vm("a"), **KEY)).status == 0
        await world.ended("server")
        row.downtime = await reborn(world)
        kept = await settled(world)
        assert [vm["status"] for vm in kept] in ([], ["created"])
        answers = [await world.request("POST", "/vms", new_vm("a"), **KEY) for _ in range(2)]
        assert {answer.status for answer in answers} == {201}
        assert {answer.body for answer in answers} | {vm["id"] for vm in kept} == {answers[0].body}
        assert len(await world.everything("/vms")) == 1


@pytest.mark.parametrize("step", DRIVING)
async def test_f1_killed_while_driving(world: World, scenario: Scenario, step: str) -> None:
    action = step.partition(".")[0]
    async with scenario(world, "F1", f"kill -9 at {step}") as row:
        source = await world.boot_source()
        vm_id = await world.create(boot_source_id=source)
        if action != "start":
            await world.ok("POST", f"/vms/{vm_id}/start")
        await world.kill("server")
        await world.start("server", QARAX_FAILPOINT=step)
        method, path = ("DELETE", "") if action == "delete" else ("POST", f"/{action}")
        assert (await world.request(method, f"/vms/{vm_id}{path}")).status == 0
        await world.ended("server")
        row.downtime = await reborn(world)
        ends: dict[str, list[list[str]]] = {
            "delete": [[]],
            "stop": [["shutdown"]],
            "start": [["created"], ["running"]],
        }
        found = await settled(world)
        assert [vm["status"] for vm in found] in ends[action], found


@pytest.mark.parametrize(("action", "knob"), [("start", "boot=8"), ("stop", "ignore-power-button")])
async def test_f1_killed_while_its_node_is_at_it(
    world: World, scenario: Scenario, action: str, knob: str
) -> None:
    """The call was sent and not answered: what is recorded of it is how it ended, not how it looked then."""
    async with scenario(world, "F1", f"kill -9 at {action}.sent") as row:
        source = await world.boot_source(knob)
        vm_id = await world.create(boot_source_id=source, stop_grace_seconds=8)
        if action == "stop":
            await world.ok("POST", f"/vms/{vm_id}/start")
        asked = asyncio.create_task(world.request("POST", f"/vms/{vm_id}/{action}"))
        await until(lambda: is_at(world, vm_id, action), 20)
        await world.kill("server")
        assert (await asked).status == 0
        row.downtime = await reborn(world)
        assert await is_at(world, vm_id, action), "it is to be settled while it lasts"
        (vm,) = await settled(world, 30)
        (operation,) = [
            each
            for each in await world.ok("GET", f"/operations?subject_id={vm_id}")
            if each["action"] == action
        ]
        assert (vm["status"], operation["status"]) == (LEADS[action], "succeeded"), operation


async def is_at(world: World, vm_id: str, action: str) -> bool:
    """Whether the node is carrying the action out."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.node_port}") as channel:
        state = await node_pb2_grpc.NodeStub(channel).GetVm(node_pb2.GetVmRequest(vm_id=vm_id), timeout=5)
    return bool(state.doing == action)


async def settled(world: World, seconds: float = 10) -> list[Any]:
    """Wait until nothing is under way and return the VMs; 5 s is what is promised."""

    async def quiet() -> bool:
        return not await world.ok("GET", "/operations?status=running")

    await until(quiet, seconds)
    return await world.everything("/vms")


async def test_f9_one_key_a_hundred_times(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F9", "one key, 100 at once and more"):
        at_once = await asyncio.gather(
            *(world.request("POST", "/vms", new_vm("a"), **KEY) for _ in range(100))
        )
        in_turn = [await world.request("POST", "/vms", new_vm("a"), **KEY) for _ in range(100)]
        await world.kill("server")
        await reborn(world)
        later = await world.request("POST", "/vms", new_vm("a"), **KEY)
        answers = {(answer.status, answer.body) for answer in (*at_once, *in_turn, later)}
        assert len(answers) == 1
        assert next(iter(answers))[0] == 201
        other = await world.request("POST", "/vms", new_vm("b"), **KEY)
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        assert len(await world.everything("/vms")) == 1


@pytest.mark.parametrize("part", ["server", "node"])
async def test_f28_sigterm_under_load(world: World, scenario: Scenario, part: str) -> None:
    async with scenario(world, "F28", f"SIGTERM of the {part}, 6 clients, 5 guests") as row:
        await world.run_vms(5)
        world.watch_guests()
        async with under_load(world) as load:
            await load.more(20)
            seconds = await world.kill(part, signal.SIGTERM)
            began = time.monotonic()
            await world.start(part)
            host = (await world.everything("/hosts"))[0]
            await world.host_is(host["id"], "up")
            row.downtime = seconds + time.monotonic() - began
            await load.more(20)
        assert seconds <= 10 * 1.5 * patience(), f"drained in {seconds:.1f} s"
        assert 500 not in load.answers
        row.outcome = f"drained in {seconds:.1f} s, {len(load.answers)} requests, no 500, all hold"
