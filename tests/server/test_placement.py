"""The placement's rules, its choice and its words."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from qarax_server.control.placement import EXAMPLES, decide, decide_by
from qarax_server.control.survey import Survey
from qarax_server.control.verdicts import Needs, room
from qarax_server.database import Database
from qarax_server.models import Candidate
from qarax_server.settings import Placement
from qarax_server.store import hosts
from qarax_server.store.hosts import Share

LIMITS = Placement(cpu_overcommit=2.0, memory_overcommit=1.0)
GIB = 2**30


def host(name: str = "one", **fields: Any) -> Candidate:
    usual = Candidate(
        id=f"id-{name}",
        name=name,
        status="up",
        status_reason=None,
        usable_drivers=("qemu",),
        cpus=4,
        memory_bytes=8 * GIB,
        allocated_vcpus=0,
        allocated_memory_bytes=0,
    )
    return replace(usual, **fields)


def failing(hosts: list[Candidate], needs: Needs) -> set[str]:
    decision = decide(hosts, needs, LIMITS)
    assert decision.host_id is None
    return {rule["rule"] for verdict in decision.hosts for rule in verdict["rules"] if not rule["passed"]}


def test_the_emptiest_host_wins() -> None:
    hosts = [host("a", allocated_memory_bytes=GIB), host("b"), host("c", allocated_vcpus=1)]
    decision = decide(hosts, Needs(1, GIB), LIMITS)
    assert (decision.host_id, decision.driver) == ("id-b", "qemu")
    assert decision.message == "b: the most room of 3 hosts that fit"
    assert len(decision.hosts) == 3


def test_each_rule_refuses_by_itself() -> None:
    assert failing([host(status="down")], Needs(1, GIB)) == {"up"}
    assert failing([host(status="unknown")], Needs(1, GIB)) == {"up"}
    assert failing([host()], Needs(1, GIB, "cloud_hypervisor")) == {"driver"}
    assert failing([host(usable_drivers=())], Needs(1, GIB)) == {"driver"}
    assert failing([host()], Needs(9, GIB)) == {"cpus"}
    assert failing([host(allocated_memory_bytes=8 * GIB)], Needs(1, 1)) == {"memory"}
    assert failing([host()], Needs(1, GIB, files={"/images/disk": "id-other"})) == {"files"}


def test_the_last_byte_and_the_last_cpu_are_given() -> None:
    assert decide([host()], Needs(8, 8 * GIB), LIMITS).host_id == "id-one"
    assert decide([host()], Needs(8, 8 * GIB + 1), LIMITS).host_id is None


def test_the_real_hypervisor_comes_before_its_stand_in_and_simulations_last() -> None:
    both = host(usable_drivers=("cloud_hypervisor", "qemu"))
    simulated = host("sim", usable_drivers=("simulated",), memory_bytes=100 * GIB)
    assert decide([both], Needs(1, GIB), LIMITS).driver == "cloud_hypervisor"
    assert decide([both, simulated], Needs(1, GIB), LIMITS).host_id == "id-one"
    assert decide([both, simulated], Needs(1, GIB, "simulated"), LIMITS).host_id == "id-sim"
    assert decide([simulated], Needs(1, GIB), LIMITS).driver == "simulated"


def test_the_refusal_says_what_would_make_it_fit() -> None:
    assert decide([], Needs(1, GIB), LIMITS).message.startswith("no host is up: register one")
    assert decide([host(status="down")], Needs(1, GIB), LIMITS).message.startswith(
        "no host is up: set one up"
    )
    message = decide([host(), host("b", allocated_memory_bytes=GIB)], Needs(1, 9 * GIB), LIMITS).message
    assert f"at most {8 * 1024} MiB free" in message


def test_what_lacks_one_byte_does_not_look_as_if_it_fitted() -> None:
    placement = decide([host(memory_bytes=8 * GIB)], Needs(1, 8 * GIB + 1), LIMITS)
    assert "8193 MiB of memory needed, at most 8192 MiB free" in placement.message
    rules = {rule["rule"]: rule["message"] for rule in placement.hosts[0]["rules"]}
    assert rules["memory"] == "8193 MiB of memory needed, 8192 free"


def test_the_host_that_comes_closest_says_what_would_make_it_fit() -> None:
    others = [host(name, usable_drivers=("simulated",)) for name in "cdef"]
    message = decide(
        [host("b", usable_drivers=("qemu",)), *others], Needs(1, 9 * GIB, driver="qemu"), LIMITS
    ).message
    assert f"{9 * 1024} MiB of memory needed, at most {8 * 1024} MiB free" in message
    assert message.endswith("(hosts refused: 4 by driver, 1 by memory)")


def test_it_never_chooses_a_host_that_fails_a_rule_and_never_refuses_while_one_fits() -> None:
    for seed in range(500):
        dice = random.Random(seed)
        hosts = [
            host(
                f"h{number}",
                status=dice.choice(["up", "up", "down", "unknown"]),
                allocated_vcpus=dice.randint(0, 8),
                allocated_memory_bytes=dice.randint(0, 8) * GIB,
                usable_drivers=tuple(dice.sample(["qemu", "cloud_hypervisor"], dice.randint(0, 2))),
            )
            for number in range(dice.randint(0, 6))
        ]
        needs = Needs(dice.randint(1, 4), dice.randint(1, 4) * GIB, dice.choice([None, "qemu"]))
        fits = {
            each.id
            for each in hosts
            if each.status == "up"
            and each.allocated_vcpus + needs.vcpus <= 8
            and each.allocated_memory_bytes + needs.memory <= 8 * GIB
            and set(each.usable_drivers) & ({needs.driver} if needs.driver else {"qemu", "cloud_hypervisor"})
        }
        chosen = decide(hosts, needs, LIMITS).host_id
        assert (chosen in fits) if fits else chosen is None, seed


def test_at_most_so_much_is_free_counts_what_may_be_promised() -> None:
    hosts = [host("b", cpus=10, allocated_vcpus=14), host("c", cpus=5, allocated_vcpus=7)]
    message = decide(hosts, Needs(8, GIB), LIMITS).message
    assert "8 vCPUs needed, at most 6 free" in message


def test_a_long_table_keeps_the_chosen_host_the_counts_and_some_examples() -> None:
    hosts = [host(f"full-{number:03}", allocated_memory_bytes=8 * GIB) for number in range(500)]
    hosts += [host(f"down-{number:03}", status="down") for number in range(300)]
    hosts += [host(f"free-{number:03}") for number in range(200)]
    decision = decide(hosts, Needs(1, GIB), LIMITS)
    assert decision.counts == {"fits": 200, "memory": 500, "up": 300}
    assert len(decision.hosts) == 1 + 3 * EXAMPLES
    assert decision.hosts[0]["host_id"] == decision.host_id == "id-free-000"
    whole = decide(hosts, Needs(1, GIB), LIMITS, whole=True)
    assert len(whole.hosts) == 1000
    assert whole.host_id == decision.host_id
    assert {each["host_id"] for each in decision.hosts} <= {each["host_id"] for each in whole.hosts}


@pytest.mark.parametrize("seed", range(20))
def test_a_look_that_promises_decides_as_a_new_look_would(seed: int) -> None:
    dice = random.Random(seed)
    hosts = [host(f"h{n}", cpus=dice.randint(1, 6), memory_bytes=dice.randint(1, 9) * GIB) for n in range(12)]
    survey = Survey(hosts, LIMITS)
    for _ in range(60):
        needs = Needs(dice.randint(1, 3), dice.randint(1, 3) * GIB)
        now = [survey.candidate(room) for room in survey.rooms.values()]
        decision, anew = decide_by(survey, needs), decide(now, needs, LIMITS)
        assert (decision.host_id, decision.message, decision.counts) == (
            anew.host_id,
            anew.message,
            anew.counts,
        )
        if decision.host_id is not None:
            survey.promise(decision.host_id, needs)


@pytest.mark.parametrize("ratio", [0.29, 0.57, 1.0, 1.1, 1.15, 2.3, 4.35])
async def test_the_database_allows_to_the_last_byte_what_placement_counts(
    database: Database, ratio: float
) -> None:
    host_id, has = "00000000-0000-4000-8000-000000000001", 100
    async with database.connection() as c:
        await c.execute(
            "INSERT INTO hosts (id, name, address, port, host_user, status, cpus, memory_bytes)"
            " VALUES (%(id)s, 'one', '::1', 1, 'root', 'up', %(has)s, %(has)s)",
            id=host_id,
            has=has,
        )
    most = room(has, ratio)
    limits = Placement(cpu_overcommit=ratio, memory_overcommit=ratio)
    for vcpus, memory, allowed in ((most + 1, 1, False), (1, most + 1, False), (most, most, True)):
        async with database.transaction() as tx:
            claimed = await hosts.claim_host(tx, Share(host_id, vcpus, memory), limits)
            assert bool(claimed) is allowed, (vcpus, memory)
