"""Many clients at one VM, many VMs for one host: F10, F11."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest

from qarax_server.control import transitions
from tests.faults.client import Answer
from tests.faults.conftest import Scenario
from tests.faults.world import World

CLIENTS, STEPS_OF_A_LIFE = 20, 500
LEADS = {"start": "running", "stop": "shutdown", "pause": "paused", "resume": "running"}


@pytest.mark.parametrize(
    ("seed", "steps"),
    [(0, STEPS_OF_A_LIFE), *(pytest.param(seed, 5000, marks=pytest.mark.faults) for seed in (1, 2))],
)
async def test_f10_twenty_clients_at_one_vm(world: World, scenario: Scenario, seed: int, steps: int) -> None:
    async with scenario(world, "F10", f"{CLIENTS} clients, {steps} steps, seed {seed}") as row:
        choose = random.Random(seed)
        counted: Counter[str] = Counter()
        for _ in range(steps // STEPS_OF_A_LIFE):
            counted += await one_life(world, choose)
        row.outcome = ", ".join(f"{count} {what}" for what, count in sorted(counted.items()))


async def one_life(world: World, choose: random.Random) -> Counter[str]:
    """All clients on one VM that some of them delete on the way; what they were told, by kind."""
    vm_id = await world.create(stop_grace_seconds=0)
    plans = [[choose.choice(list(LEADS)) for _ in range(STEPS_OF_A_LIFE // CLIENTS)] for _ in range(CLIENTS)]
    for plan in choose.sample(plans, 3):
        plan[choose.randrange(len(plan) // 2, len(plan))] = "delete"
    counted: Counter[str] = Counter()

    async def client(plan: list[str]) -> None:
        for action in plan:
            was_gone = counted["deleted"]
            kind = fits(action, answer := await ask(world, vm_id, action))
            assert kind == "gone" or not was_gone, (action, answer)
            counted[kind] += 1

    await asyncio.gather(*(client(plan) for plan in plans))
    assert counted["deleted"] == 1, counted
    changes = check_history(await world.everything(f"/events?subject_id={vm_id}"))
    assert changes <= counted["won"] + counted["taken over"], counted
    return counted


async def ask(world: World, vm_id: str, action: str) -> Answer:
    if action == "delete":
        return await world.request("DELETE", f"/vms/{vm_id}")
    return await world.request("POST", f"/vms/{vm_id}/{action}")


def check_history(events: list[dict[str, Any]]) -> int:
    """The table allows each change of the VM, in the order of commits; how many of them were asked for."""
    asked = 0
    for event in events:
        before, after, action = event["before"], event["after"], event["action"]
        if before is None or after is None or before["status"] == after["status"]:
            continue
        assert not event["message"].endswith(" began"), (event["message"], before, after)
        assert action in {*LEADS, "observe", "create"}, event["message"]
        if action in LEADS:
            assert not transitions.refusal(action, before["status"]), event["message"]
            assert after["status"] == LEADS[action], event["message"]
            asked += 1
    return asked


def fits(action: str, answer: Answer) -> str:
    """What the state machine allows a client to be told; returns its kind."""
    if answer.status == 404:
        return "gone"
    if answer.status == 204:
        assert action == "delete"
        return "deleted"
    if answer.status == 200:
        assert answer.body["status"] in {"created", "running", "paused", "shutdown"}, answer
        return "won"
    assert answer.status == 409, (action, answer)
    if answer.code == "busy":
        return "busy"
    if answer.code == "wrong_status":
        statuses = [
            each for each in ("created", "running", "paused", "shutdown") if each in answer.body["message"]
        ]
        assert any(transitions.refusal(action, each) for each in statuses), answer
        return "refused"
    assert answer.code == "taken_over", answer
    return "taken over"


@pytest.mark.parametrize(("wanted", "room"), [(30, 20), pytest.param(1000, 700, marks=pytest.mark.faults)])
async def test_f11_more_creates_at_once_than_fit(
    world: World, scenario: Scenario, wanted: int, room: int
) -> None:
    async with scenario(world, "F11", f"{wanted} creates at once, room for {room}") as row:
        host = (await world.everything("/hosts"))[0]
        size = host["memory_bytes"] // room // 4096 * 4096
        began = time.monotonic()
        answers = await asyncio.gather(
            *(world.request("POST", "/vms", world.new_vm(memory_size=size)) for _ in range(wanted))
        )
        counted = Counter(answer.status for answer in answers)
        assert counted == {201: room, 422: wanted - room}, Counter(
            str(answer.body)[:99] for answer in answers if answer.status >= 500
        )
        row.outcome = f"{room} × 201, {wanted - room} × 422 in {time.monotonic() - began:.0f} s"
