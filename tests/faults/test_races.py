"""Many clients at one VM, many VMs for one host: F10, F11."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import pytest

from qarax_server.control import transitions
from tests.faults.client import Answer
from tests.faults.conftest import Scenario
from tests.faults.world import World

CLIENTS = 20
LEADS = {"start": "running", "stop": "shutdown", "pause": "paused", "resume": "running"}


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2])
async def test_f10_twenty_clients_at_one_vm(world: World, scenario: Scenario, seed: int) -> None:
    steps = 5000
    async with scenario(world, "F10", f"{CLIENTS} clients, {steps} steps, seed {seed}") as row:
        vm_id = await world.create(stop_grace_seconds=0)
        choose = random.Random(seed)
        plans = [[choose.choice(list(LEADS)) for _ in range(steps // CLIENTS)] for _ in range(CLIENTS)]
        counted: Counter[str] = Counter()

        async def client(plan: list[str]) -> None:
            for action in plan:
                answer = await world.request("POST", f"/vms/{vm_id}/{action}")
                counted[fits(action, answer)] += 1

        await asyncio.gather(*(client(plan) for plan in plans))
        deletes = await asyncio.gather(*(world.request("DELETE", f"/vms/{vm_id}") for _ in range(CLIENTS)))
        statuses = Counter(answer.status for answer in deletes)
        assert statuses[204] == 1, statuses
        assert set(statuses) <= {204, 404, 409}, statuses
        assert (await world.request("POST", f"/vms/{vm_id}/start")).status == 404
        row.outcome = ", ".join(f"{count} {what}" for what, count in sorted(counted.items()))


def fits(action: str, answer: Answer) -> str:
    """What the state machine allows a client to be told; returns its kind."""
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
