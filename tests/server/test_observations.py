"""Observations and decisions: what is older never overwrites what is newer, whatever the history."""

from __future__ import annotations

import dataclasses
import random
from datetime import UTC, datetime

import pytest
from qarax_proto import node_pb2

from qarax_server.control import decisions
from qarax_server.control.decisions import Fail, Succeed, TakeUp, Wait
from qarax_server.control.settling import describe_stop
from qarax_server.database import Database
from qarax_server.models import NewVm, Operation
from qarax_server.nodes import wire
from qarax_server.observed import NodeFacts, Observation
from qarax_server.store import hosts, vms
from qarax_server.store.vms import Placed

HOST = "00000000-0000-4000-8000-00000000000a"
FACTS = NodeFacts("n", "b", "1", "h", 64, 2**40, ({"name": "qemu", "usable": True},), "")


def seen(vm_id: str, status: str, generation: int) -> Observation:
    return Observation(vm_id, "v", status, f"because {generation}", "qemu", generation, 0)


@pytest.mark.parametrize("how", ["obeyed", "forced"])
def test_a_stop_whose_node_died_in_between_claims_no_seconds(how: str) -> None:
    counted = dataclasses.replace(seen("v", "shutdown", 1), stop_how=how, stop_seconds=2.04)
    outcome, sentence = describe_stop(counted)
    assert (outcome, sentence.endswith("after 2.0 s")) == (how, True)
    assert "after" not in describe_stop(dataclasses.replace(counted, stop_seconds=0.0))[1]


def test_a_status_that_only_a_newer_node_knows_is_unknown() -> None:
    stop = node_pb2.StopOutcome(how=98)  # type: ignore[arg-type]  # as it comes from the wire
    state = node_pb2.VmState(vm_id="v", status=99, last_stop=stop)  # type: ignore[arg-type]  # likewise
    assert (wire.observation(state).status, wire.observation(state).stop_how) == ("unknown", "")


def operation(action: str) -> Operation:
    now = datetime.now(UTC)
    return Operation(
        "o", "vm", "v", "v", action, "running", "a", "r", {}, None, None, None, False, now, None, None
    )


def uuid(number: int) -> str:
    return f"00000000-0000-4000-9000-{number:012d}"


@pytest.fixture
async def fleet(database: Database) -> Database:
    async with database.transaction() as tx:
        await hosts.insert_host(tx, HOST, {"name": "h", "address": "a", "port": 1, "host_user": "u"})
        hosts.update_reachable(tx, HOST, FACTS)
        for number in range(20):
            new = NewVm(f"v{number}", "cloud_hv", 1, 1, 2**20)
            await vms.insert_vms(tx, [Placed(uuid(number), new, HOST, "qemu")])
    return database


async def test_whatever_the_order_the_newest_observation_stays(fleet: Database) -> None:
    for seed in range(20):
        dice = random.Random(seed)
        history = [
            seen(
                uuid(number),
                dice.choice(["created", "running", "paused", "shutdown"]),
                1000 * seed + generation,
            )
            for number in range(20)
            for generation in range(1, 6)
        ]
        newest = {each.vm_id: each for each in history}
        dice.shuffle(history)
        while history:
            count = dice.randint(1, 10)
            batch, history = history[:count], history[count:]
            latest = {each.vm_id: each for each in sorted(batch, key=lambda each: each.generation)}
            async with fleet.transaction() as tx:
                await vms.update_observed(tx, [(HOST, each) for each in latest.values()])
        async with fleet.connection() as c:
            rows = await c.fetch_all("SELECT id, status, status_reason, observed_generation FROM vms")
        for row in rows:
            expected = newest[row["id"]]
            assert row["status"] == expected.status, seed
            assert row["observed_generation"] == expected.generation, seed


async def test_a_node_cannot_speak_for_another_hosts_vms(fleet: Database) -> None:
    async with fleet.transaction() as tx:
        stranger = "00000000-0000-4000-8000-00000000000b"
        assert await vms.update_observed(tx, [(stranger, seen(uuid(1), "running", 99))]) == []


async def test_nothing_new_is_no_change(fleet: Database) -> None:
    async with fleet.transaction() as tx:
        first = await vms.update_observed(tx, [(HOST, seen(uuid(1), "running", 5))])
        assert [change.visible for change in first] == [True]
        assert await vms.update_observed(tx, [(HOST, seen(uuid(1), "running", 5))]) == []


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("create", None, TakeUp),
        ("create", "created", Succeed),
        ("create", "running", Succeed),
        ("start", "running", Succeed),
        ("start", "created", Fail),
        ("start", "shutdown", Fail),
        ("start", "paused", Fail),
        ("start", None, Fail),
        ("stop", "shutdown", Succeed),
        ("stop", "running", TakeUp),
        ("stop", "paused", TakeUp),
        ("stop", "unknown", TakeUp),
        ("stop", None, Fail),
        ("pause", "paused", Succeed),
        ("pause", "running", Fail),
        ("resume", "running", Succeed),
        ("resume", "shutdown", Fail),
        ("reboot", "running", Fail),
        ("delete", "running", TakeUp),
        ("delete", None, TakeUp),
    ],
)
def test_what_becomes_of_an_open_operation(action: str, status: str | None, expected: type) -> None:
    observed = seen("v", status, 1) if status else None
    assert isinstance(decisions.settle(operation(action), observed), expected)


@pytest.mark.parametrize("action", ["start", "pause", "resume", "reboot"])
def test_what_a_node_is_still_doing_is_waited_for(action: str) -> None:
    for status in ("created", "shutdown", "unknown"):
        busy = dataclasses.replace(seen("v", status, 1), doing=action)
        assert isinstance(decisions.settle(operation(action), busy), Wait)
    found_again_later = seen("v", "unknown", 1)
    assert isinstance(decisions.settle(operation(action), found_again_later, in_time=True), Wait)
    assert isinstance(decisions.settle(operation(action), found_again_later), Fail)
