"""A fleet's life as a seeded history: creates that race for room, lost hosts, a forgetful database.

What is decided is decided by the server's own rules (`placement`, `decisions`, `transitions`). Modelled here
are the rows, whose claim is the one of `sql/queries/hosts.sql`, and nodes that keep what they were told.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from qarax_server.control import decisions, placement
from qarax_server.control.decisions import Cancel, Fail, Succeed, TakeUp
from qarax_server.control.survey import Survey
from qarax_server.control.verdicts import Needs
from qarax_server.models import Candidate, Operation
from qarax_server.observed import Observation
from qarax_server.settings import Placement
from tests.faults import fleet_checks
from tests.faults.history import Died, Node, observation, operation

RATIOS = (0.29, 0.57, 1.0, 1.1, 1.15, 2.0, 2.3, 4.35, 8.0)
RACERS = 4
MOST_CPUS, PIECE, MOST_PIECES = 8, 100, 4  # small numbers: the last one counts


@dataclass
class Kept:
    """A VM's row and its operation in flight."""

    host: str
    vcpus: int
    memory: int
    status: str = "unknown"
    open: str | None = "create"
    cancelled: bool = False


@dataclass
class FleetHistory:
    """Play a seed; `trace` tells what was done."""

    seed: int
    rows: dict[str, Kept] = field(default_factory=dict)
    tombs: dict[str, str] = field(default_factory=dict)  # VM → host
    orphans: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    accepted_starts: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    made: int = 0
    survey: Survey | None = None

    def __post_init__(self) -> None:
        dice = self.choose = random.Random(self.seed)
        self.limits = Placement(dice.choice(RATIOS), dice.choice(RATIOS))
        self.hosts = {
            name: Candidate(
                id=name,
                name=name,
                status="up",
                status_reason=None,
                usable_drivers=("qemu",),
                cpus=dice.randint(1, MOST_CPUS),
                memory_bytes=PIECE * dice.randint(1, MOST_PIECES),
                allocated_vcpus=0,
                allocated_memory_bytes=0,
            )
            for name in (f"h{number}" for number in range(dice.randint(1, 6)))
        }
        self.nodes: dict[str, dict[str, Node]] = {host_id: {} for host_id in self.hosts}

    def play(self, steps: int) -> None:
        deeds = [
            self.create,
            self.create,
            self.create,
            self.delete,
            self.drive,
            self.lose,
            self.heal,
            self.forget,
        ]
        for _ in range(steps):
            try:
                self.choose.choice(deeds)()
            except Died:
                self.trace.append("server killed")
            fleet_checks.check_claims(self)
        for host_id in self.hosts:
            self.hosts[host_id].status = "up"
        while True:
            try:
                self.settle_everything()
                break
            except Died:
                continue
        fleet_checks.check_healed(self)

    # what clients do

    def create(self) -> None:
        """Several decide by the same look at the fleet, which may be an old one."""
        if self.choose.random() < 0.5:
            self.survey = None
        for _ in range(self.choose.randint(1, RACERS)):
            self.made += 1
            self.place(
                f"vm-{self.made}", Needs(self.choose.randint(1, 4), self.choose.randint(1, PIECE // 4))
            )

    def place(self, vm_id: str, needs: Needs) -> None:
        """What `claiming.claim` does."""
        known = self.survey
        for _ in range(100):
            survey = known or self.look()
            decision = placement.decide_by(survey, needs)
            if decision.host_id is not None:
                survey.promise(decision.host_id, needs)
                if self.claim(decision.host_id, needs):
                    break
            elif known is None:
                fitting = [host.name for host in self.hosts.values() if self.has_room(host, needs)]
                assert not fitting, f"{vm_id} {needs} is refused while {fitting} has room: {self.limits}"
                return
            known = None
        else:
            raise AssertionError(f"{vm_id} {needs}: decided and claimed differently for ever: {self.limits}")
        self.trace.append(f"create {vm_id} on {decision.host_id}")
        self.rows[vm_id] = Kept(decision.host_id, needs.vcpus, needs.memory)
        self.carry_out(vm_id)

    def look(self) -> Survey:
        self.survey = Survey([replace(host) for host in self.hosts.values()], self.limits)
        return self.survey

    def has_room(self, host: Candidate, needs: Needs) -> bool:
        cpus, memory = fleet_checks.room(host, self.limits)
        return (
            host.status == "up"
            and host.allocated_vcpus + needs.vcpus <= cpus
            and host.allocated_memory_bytes + needs.memory <= memory
        )

    def claim(self, host_id: str, needs: Needs) -> bool:
        host = self.hosts[host_id]
        if not self.has_room(host, needs):
            return False
        host.allocated_vcpus += needs.vcpus
        host.allocated_memory_bytes += needs.memory
        return True

    def delete(self) -> None:
        """Of an absent host's VM only when forced; its node is told later."""
        if not self.rows:
            return
        vm_id = self.choose.choice(sorted(self.rows))
        kept = self.rows[vm_id]
        kept.open = "delete"
        self.trace.append(f"delete {vm_id}")
        if self.hosts[kept.host].status == "up":
            self.carry_out(vm_id)
        else:
            self.tombs[vm_id] = kept.host
            self.forget_row(vm_id)
            self.deleted.add(vm_id)

    def drive(self) -> None:
        """A client starts or stops, or takes an operation back; or the guest goes off by itself."""
        if not self.rows:
            return
        vm_id = self.choose.choice(sorted(self.rows))
        kept = self.rows[vm_id]
        if kept.open is not None:
            kept.cancelled = kept.open in {"create", "stop"} and self.choose.random() < 0.5
            return
        if kept.status in {"created", "shutdown"} and self.hosts[kept.host].status == "up":
            kept.open = "start"
            self.accepted_starts[vm_id] = self.accepted_starts.get(vm_id, 0) + 1
            self.carry_out(vm_id)
        elif kept.status == "running" and self.hosts[kept.host].status == "up":
            kept.open = "stop"
            self.carry_out(vm_id)

    # what goes wrong

    def lose(self) -> None:
        """A host falls silent; perhaps it is booted anew, and nothing runs on it any more."""
        host = self.choose.choice(sorted(self.hosts))
        self.hosts[host].status = "unknown"
        self.trace.append(f"{host} is away")
        if self.choose.random() < 0.3:
            for node in self.nodes[host].values():
                node.status = "shutdown" if node.status in {"running", "paused"} else node.status

    def forget(self) -> None:
        """PostgreSQL loses the newest row, or the newest deletion's tombstone, with its claim."""
        settled = [vm_id for vm_id, kept in self.rows.items() if kept.open is None]
        if settled and self.choose.random() < 0.3:
            self.trace.append(f"{settled[-1]} is lost with the last commits")
            self.forgotten.add(settled[-1])
            self.forget_row(settled[-1])

    def heal(self) -> None:
        """A host answers again: its whole state is compared, and what was left open is settled."""
        host = self.choose.choice(sorted(self.hosts))
        self.hosts[host].status = "up"
        self.reconcile(host)

    # what the server does about it

    def carry_out(self, vm_id: str) -> None:
        """Tell the node and settle; each step may be the last one."""
        kept = self.rows[vm_id]
        self.maybe_die()
        if self.hosts[kept.host].status != "up" or self.choose.random() < 0.1:
            return  # a timeout: left open
        node = self.nodes[kept.host].setdefault(vm_id, Node())
        done = node.tell(str(kept.open))
        if node.status is None:
            del self.nodes[kept.host][vm_id]
        self.maybe_die()
        if self.choose.random() < 0.1:
            return  # the answer is lost
        self.settle(vm_id, done=done)

    def settle(self, vm_id: str, *, done: bool) -> None:
        kept = self.rows[vm_id]
        was, kept.open = kept.open, None
        if was == "delete":
            self.forget_row(vm_id)
            self.deleted.add(vm_id)
        elif was == "create" and done:
            self.acknowledged.add(vm_id)
        self.observe(vm_id)

    def observe(self, vm_id: str) -> None:
        if vm_id in self.rows:
            kept = self.rows[vm_id]
            node = self.nodes[kept.host].get(vm_id)
            kept.status = "unknown" if node is None else str(node.status)

    def forget_row(self, vm_id: str) -> None:
        kept = self.rows.pop(vm_id)
        self.hosts[kept.host].allocated_vcpus -= kept.vcpus
        self.hosts[kept.host].allocated_memory_bytes -= kept.memory

    def settle_everything(self) -> None:
        for host in self.hosts:
            self.reconcile(host)
        while any(kept.open for kept in self.rows.values()):
            for host in self.hosts:
                self.reconcile(host)

    def reconcile(self, host_id: str) -> None:
        seen = [self.seen(host_id, vm_id) for vm_id in self.nodes[host_id]]
        tombs = {vm_id for vm_id, host in self.tombs.items() if host == host_id}
        homes = {vm_id: kept.host for vm_id, kept in self.rows.items()}
        found = decisions.compare(host_id, [each for each in seen if each], homes, tombs)
        self.orphans = {vm_id: host for vm_id, host in self.orphans.items() if host != host_id}
        self.orphans |= {each.vm_id: host_id for each in found.strangers}
        for vm_id in found.missing:
            assert self.rows[vm_id].host == host_id
        for vm_id in sorted(found.untold | found.told):
            if vm_id in found.untold:
                self.maybe_die()
                del self.nodes[host_id][vm_id]
            del self.tombs[vm_id]
        for vm_id in [vm_id for vm_id, kept in self.rows.items() if kept.host == host_id]:
            self.observe(vm_id)
            if self.rows[vm_id].open is not None:
                self.settle_open(vm_id)

    def settle_open(self, vm_id: str) -> None:
        kept = self.rows[vm_id]
        left = replace(operation(str(kept.open)), subject_id=vm_id, cancel_requested=kept.cancelled)
        self.obey(vm_id, left, decisions.settle(left, self.seen(kept.host, vm_id)))

    def obey(self, vm_id: str, left: Operation, decision: decisions.Decision) -> None:
        match decision:
            case TakeUp():
                self.carry_out(vm_id)
            case Succeed():
                self.settle(vm_id, done=True)
            case Cancel() if left.action == "create":
                assert vm_id not in self.nodes[self.rows[vm_id].host]
                self.forget_row(vm_id)
            case Fail() | Cancel():
                self.settle(vm_id, done=False)

    def seen(self, host_id: str, vm_id: str) -> Observation | None:
        node = self.nodes[host_id].get(vm_id)
        found = observation(None if node is None else node.status)
        return None if found is None else replace(found, vm_id=vm_id)

    def maybe_die(self) -> None:
        if self.choose.random() < 0.03:
            raise Died
