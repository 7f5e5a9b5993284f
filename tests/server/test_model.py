"""Several clients at once on a few VMs, held against the pure table: every answer fits some order of them."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Collection, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from qarax_server.control.transitions import is_done, refusal
from qarax_server.settings import Monitor
from tests.postgres import TestDatabase
from tests.server.running import ControlPlane, Node, control_plane, settings_for

GOALS = {"start": "running", "stop": "shutdown", "pause": "paused", "resume": "running", "reboot": "running"}
SHORT = settings(
    max_examples=12, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
LONG = settings(SHORT, max_examples=40, stateful_step_count=50)
FEW, MANY = 4, 20
GONE = "gone"

Answered = tuple[str, int, str]  # action, HTTP status, code


def after(action: str, status: str) -> str | None:
    """What an action that succeeds leads to from a status; None when it cannot succeed from there."""
    if status == GONE:
        return None
    if action == "delete":
        return GONE
    return None if refusal(action, status) else GOALS[action]


def explanations(status: str, answers: Sequence[Answered]) -> Iterator[str]:
    """The statuses that some order of the successes leads to, if the refusals fit that order.

    What a deletion took over may have come to its effect before.
    """
    won = Counter(action for action, code, _ in answers if code < 300)
    cut = Counter(action for action, _, code in answers if code == "taken_over")
    for end, seen in ends(status, won) | ends(status, won + cut):
        if all(fits(answer, seen, len(answers)) for answer in answers if answer[1] >= 300):
            yield end


def ends(status: str, won: Counter[str]) -> set[tuple[str, frozenset[str]]]:
    """Where the orders in which all of these succeed lead to, each with the statuses on its way."""
    first = (status, frozenset({status}), tuple(sorted(won.items())))
    known, todo = {first}, [first]
    while todo:
        now, seen, left = todo.pop()
        for action, count in left:
            following = after(action, now)
            if following is None:
                continue
            rest = tuple(sorted((Counter(dict(left)) - Counter({action: 1})).items())) if count else left
            reached = (following, seen | {following}, rest)
            if reached not in known:
                known.add(reached)
                todo.append(reached)
    return {(now, seen) for now, seen, left in known if not left}


def fits(answer: Answered, seen: Collection[str], together: int) -> bool:
    """Whether a refusal could come while a VM went through these statuses."""
    action, status, code = answer
    if status == 404:
        return GONE in seen
    if status != 409:
        return False
    if code in {"busy", "taken_over"}:
        return together > 1
    return any(each != GONE and refusal(action, each) for each in seen) and code == "wrong_status"


class Fleet:
    """A control plane with a simulated node on an event loop that runs all the time."""

    def __init__(self, where: TestDatabase, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack = AsyncExitStack()
        self.numbers = itertools.count()
        self.plane: ControlPlane = self.run(self._start(where, directory))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, where: TestDatabase, directory: Path) -> ControlPlane:
        node = Node(directory / "node")
        await node.start()
        self._stack.push_async_callback(node.kill)
        settings = settings_for(where, directory, monitor=Monitor())
        plane = await self._stack.enter_async_context(control_plane(settings))
        await plane.add_host(node)
        return plane

    async def ask(self, vm_id: str, action: str) -> Answered:
        if action == "delete":
            status, answer, _ = await self.plane.request("DELETE", f"/vms/{vm_id}")
        else:
            grace = "?grace=0" if action == "stop" else ""
            status, answer, _ = await self.plane.request("POST", f"/vms/{vm_id}/{action}{grace}")
        return action, status, "" if status < 300 else answer["code"] if status < 500 else answer["message"]

    async def together(self, vm_id: str, actions: Sequence[str]) -> list[Answered]:
        return await asyncio.gather(*(self.ask(vm_id, action) for action in actions))

    async def status(self, vm_id: str) -> str:
        status, answer, _ = await self.plane.request("GET", f"/vms/{vm_id}")
        return GONE if status == 404 else str(answer["status"])


class Clients(RuleBasedStateMachine):
    """One VM and whoever drives it; a new one when it was deleted."""

    def __init__(self, fleet: Fleet, most: int) -> None:
        super().__init__()
        self.fleet = fleet
        self.most = most
        self.vm_id = ""
        self.known = GONE

    @rule(wanted=st.lists(st.sampled_from([*GOALS, *GOALS, "delete"]), min_size=1, max_size=MANY))
    def several_ask(self, wanted: list[str]) -> None:
        actions = wanted[: self.most]
        if self.known == GONE:
            self.vm_id = self.fleet.run(self.fleet.plane.add_vm(f"vm-{next(self.fleet.numbers)}"))
            self.known = "created"
        answers = self.fleet.run(self.fleet.together(self.vm_id, actions))
        now = self.fleet.run(self.fleet.status(self.vm_id))
        possible = set(explanations(self.known, answers))
        assert now in possible, "\n".join([self.known, *map(str, answers), now, *map(str, possible)])
        self.known = now

    @rule(action=st.sampled_from(list(GOALS)))
    def one_asks_twice(self, action: str) -> None:
        if self.known == GONE or refusal(action, self.known):
            return
        first = self.fleet.run(self.fleet.ask(self.vm_id, action))
        assert first[1] == 200, first
        self.known = GOALS[action]
        if is_done(action, self.known):
            assert self.fleet.run(self.fleet.ask(self.vm_id, action))[1] == 200

    def teardown(self) -> None:
        if self.known != GONE:
            self.fleet.run(self.fleet.ask(self.vm_id, "delete"))


@pytest.fixture
def fleet(database_settings: TestDatabase, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(database_settings, tmp_path)
    yield fleet
    fleet.close()


@pytest.mark.parametrize(
    ("size", "clients"),
    [(SHORT, FEW), pytest.param(LONG, MANY, marks=[pytest.mark.faults, pytest.mark.timeout(1200)])],
    ids=["short", "long"],
)
def test_every_answer_fits_the_table(fleet: Fleet, size: settings, clients: int) -> None:
    # a factory is what its documentation asks for; its annotation is narrower
    run_state_machine_as_test(lambda: Clients(fleet, clients), settings=size)  # type: ignore[arg-type]


def test_the_model_refuses_what_cannot_be() -> None:
    assert set(explanations("created", [("start", 200, ""), ("pause", 200, "")])) == {"paused"}
    assert set(explanations("created", [("pause", 200, "")])) == set()
    assert set(explanations("created", [("start", 409, "wrong_status")])) == set()
    assert set(explanations("running", [("pause", 409, "busy")])) == set()
    assert set(explanations("running", [("delete", 204, ""), ("start", 404, "no_such_vm")])) == {GONE}
    assert set(explanations("running", [("start", 404, "no_such_vm")])) == set()
