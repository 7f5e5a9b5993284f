"""One VM's life as a seeded history: clients, crashes, lost answers and guests that do as they like.

The rules are the server's own (`transitions`, `decisions`); what is modelled here is only the world around
them: a database that keeps what was committed, and a node that does what it is told, once, or never hears it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from qarax_server.control import decisions, transitions
from qarax_server.control.decisions import Cancel, Fail, Succeed, TakeUp, Wait
from qarax_server.models import Operation
from qarax_server.observed import Observation

ACTIONS = ("create", "start", "stop", "pause", "resume", "reboot", "delete")
RESULT = {"start": "running", "stop": "shutdown", "pause": "paused", "resume": "running", "reboot": "running"}


class Died(Exception):  # noqa: N818
    """The server was killed here."""


@dataclass
class Node:
    """What really is: a VM's status, or None; `starts` counts the VMMs that were started.

    `doing` is the step that it is at: it ends by itself, and before the next one.
    """

    status: str | None = None
    starts: int = 0
    doing: str = ""

    def finish(self) -> None:
        """Come to the end of the step under way."""
        doing, self.doing = self.doing, ""
        if doing:
            self.tell(doing)

    def tell(self, action: str) -> bool:
        """Do what is asked; False when it is refused."""
        self.finish()
        if action == "create":
            self.status = self.status or "created"
            return True
        if action == "delete":
            self.status = None
            return True
        if self.status is None or transitions.refusal(action, self.status):
            return False
        if not transitions.is_done(action, self.status):
            self.starts += action == "start"
            self.status = RESULT[action]
        return True


@dataclass
class History:
    """Play `steps` steps of a seed; `trace` tells them, for whoever replays a failure."""

    seed: int
    node: Node = field(default_factory=Node)
    kept: str | None = None  # the database: the VM's status, or None
    open: str | None = None  # the running operation's action
    cancelled: bool = False
    accepted_starts: int = 0
    acknowledged: bool | None = None  # what a client may rely on: it is there, it is gone, or neither
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.choose = random.Random(self.seed)

    def play(self, steps: int) -> None:
        for _ in range(steps):
            self.choose.choice([self.request, self.request, self.request, self.guest])()
            self.restart()
            self.check()

    def request(self) -> None:
        """A client asks; the server may die at any point, and the answer may be lost."""
        action = self.choose.choice(ACTIONS)
        if (self.kept is None) != (action == "create"):
            return  # 404, or the name is taken
        if action != "create" and transitions.refusal(action, str(self.kept)):
            return  # 409
        if action != "create" and transitions.is_done(action, str(self.kept)):
            return  # it is so already
        self.trace.append(action)
        try:
            self.claim(action)
            self.carry_out(action)
        except Died:
            self.trace.append("server killed")

    def claim(self, action: str) -> None:
        self.maybe_die()
        self.open, self.cancelled = action, False
        self.accepted_starts += action == "start"
        if action == "create":
            self.kept = "unknown"
        # an accepted deletion comes true, whatever happens on the way
        self.acknowledged = False if action == "delete" else None
        self.maybe_die()

    def carry_out(self, action: str) -> None:
        """Tell the node and settle; also what the reconciler does that takes an operation up again."""
        if self.choose.random() < 0.1:
            self.trace.append("request lost")
            return  # a timeout: the operation stays open
        if self.node.status is not None and self.choose.random() < 0.1:
            self.trace.append("answer lost on the way")
            self.node.finish()
            self.node.doing = action
            return  # carried out all the same
        done = self.node.tell(action)
        self.maybe_die()
        if self.choose.random() < 0.1:
            self.trace.append("answer lost")
            return
        self.settle(acknowledge=done)

    def settle(self, *, acknowledge: bool) -> None:
        self.maybe_die()
        was, self.open, self.kept = self.open, None, self.node.status
        if acknowledge and was in {"create", "delete"}:
            self.acknowledged = was == "create"

    def guest(self) -> None:
        """The guest powers off, or its VMM dies, or the host reboots."""
        if self.node.status in {"running", "paused"}:
            self.node.status = "shutdown"
            self.trace.append("guest ended")

    def maybe_die(self) -> None:
        if self.choose.random() < 0.1:
            raise Died

    def restart(self) -> None:
        """The server starts, or the link is back: a snapshot, then the open operation."""
        while True:
            try:
                self.reconcile()
            except Died:
                continue
            if self.open is None:
                self.node.finish()
                self.observe()
                return

    def observe(self) -> None:
        """The database learns what the node sees, of a VM that both have."""
        if self.node.status is not None and self.kept is not None:
            self.kept = self.node.status

    def reconcile(self) -> None:
        self.observe()
        if self.open is None:
            return
        if self.choose.random() < 0.5:
            self.guest()
        self.cancelled = self.cancelled or self.choose.random() < 0.1
        left = replace(operation(self.open), cancel_requested=self.cancelled)
        if self.choose.random() < 0.3:
            self.node.finish()
        was, status = self.open, self.node.status
        match decisions.settle(left, observation(self.node.status, self.node.doing)):
            case Wait():
                self.trace.append(f"{self.open} is under way")
            case TakeUp():
                self.trace.append(f"{self.open} taken up")
                self.carry_out(self.open)
            case Succeed():
                self.settle(acknowledge=True)
            case Fail():
                self.settle(acknowledge=False)
                self.node.finish()
                assert self.node.status == status, f"{was} was called failed, and then it happened"
            case Cancel():
                self.trace.append("cancelled")
                assert self.open in {"create", "stop"}
                self.node.doing = ""  # it is told not to go on
                self.settle(acknowledge=False)

    def check(self) -> None:
        """After each repair the database says what is so, and nothing was done unasked."""
        assert self.open is None
        assert self.kept == self.node.status
        assert self.node.starts <= self.accepted_starts
        if self.acknowledged is not None:
            assert (self.kept is not None) == self.acknowledged


def operation(action: str) -> Operation:
    now = datetime.now(UTC)
    return Operation(
        id="o",
        subject_type="vm",
        subject_id="v",
        subject_name="vm",
        action=action,
        status="running",
        actor="a",
        request_id="r",
        parameters={"grace_seconds": 1},
        progress=None,
        outcome=None,
        reason=None,
        cancel_requested=False,
        started_at=now,
        deadline_at=None,
        ended_at=None,
    )


def observation(status: str | None, doing: str = "") -> Observation | None:
    return None if status is None else Observation("v", "vm", status, "", "simulated", 1, 0, doing=doing)
