"""The rules of placement: a quick judgement of each host, and the same in words and numbers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from qarax_server.models import Candidate
from qarax_server.settings import Placement as Limits

PREFERRED = ("cloud_hypervisor", "qemu", "simulated")
SIMULATED = "simulated"
_MIB = 2**20


@dataclass(frozen=True)
class Needs:
    """What a VM asks of a host. `files`: path of each file that is on one host only → that host's id."""

    vcpus: int
    memory: int
    driver: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class Judged(NamedTuple):
    """A host, the first rule that refuses it (empty: it fits), its driver and the share left free."""

    host: Candidate
    failed: str
    driver: str | None
    score: float


def room(has: int, ratio: float) -> int:
    """How much of so many bytes or CPUs may be promised, to the last one what `claim_host` allows.

    The ratio is the decimal number that the settings name, as it is for PostgreSQL, not its nearest double.
    """
    return int(has * Decimal(str(ratio)))


def too_small(free_memory: int, free_cpus: int) -> str:
    """Name the rule that what would be left of a host's room breaks; empty: none."""
    if free_memory < 0:
        return "memory"
    return "cpus" if free_cpus < 0 else ""


def score(free_memory: int, memory: int, free_cpus: int, cpus: int) -> float:
    """Rate a host by the share of its room that would be left."""
    return (free_memory / max(memory, 1) + free_cpus / max(cpus, 1)) / 2


class Rules:
    """What one VM needs, ready to be held against many hosts."""

    def __init__(self, needs: Needs, limits: Limits, *, simulated: bool) -> None:
        self.needs = needs
        self._limits = limits
        self._simulated = simulated or needs.driver == SIMULATED
        self._homes = frozenset(needs.files.values())
        self._drivers: dict[tuple[str, ...], str | None] = {}
        self._rooms: dict[tuple[int, int], tuple[int, int]] = {}

    def standing(self, host: Candidate) -> str:
        """Name the first rule that refuses a host to every VM that asks for the same; empty: none does."""
        if host.status != "up":
            return "up"
        if self._homes and self._homes != {host.id}:
            return "files"
        return "driver" if self.driver(host.usable_drivers) is None else ""

    def judge(self, host: Candidate) -> Judged:
        """Apply the rules in their order."""
        needs = self.needs
        memory, cpus = self.room(host)
        free_memory = memory - host.allocated_memory_bytes - needs.memory
        free_cpus = cpus - host.allocated_vcpus - needs.vcpus
        failed = self.standing(host) or too_small(free_memory, free_cpus)
        rating = score(free_memory, memory, free_cpus, cpus)
        return Judged(host, failed, self.driver(host.usable_drivers), rating)

    def verdict(self, judged: Judged) -> dict[str, Any]:
        """Every rule with its numbers."""
        host, needs = judged.host, self.needs
        fits = not judged.failed
        return {
            "host_id": host.id,
            "host_name": host.name,
            "fits": fits,
            "driver": judged.driver,
            "score": round(judged.score, 6) if fits else None,
            "rules": [
                _up(host),
                *(_file(host, path, home) for path, home in sorted(needs.files.items())),
                _driver(host, needs.driver, judged.driver),
                _memory(needs.memory, self.free(host, "memory")),
                _cpus(needs.vcpus, self.free(host, "cpus")),
            ],
        }

    def room(self, host: Candidate) -> tuple[int, int]:
        """How much memory and how many CPUs of a host may be promised."""
        has = host.memory_bytes, host.cpus
        if has not in self._rooms:
            self._rooms[has] = (
                room(host.memory_bytes, self._limits.memory_overcommit),
                room(host.cpus, self._limits.cpu_overcommit),
            )
        return self._rooms[has]

    def free(self, host: Candidate, rule: str) -> int:
        """How much of a host may be promised yet of what a rule looks at; 0 where that is no amount."""
        memory, cpus = self.room(host)
        left = {"memory": memory - host.allocated_memory_bytes, "cpus": cpus - host.allocated_vcpus}
        return left.get(rule, 0)

    def driver(self, usable: tuple[str, ...]) -> str | None:
        """Take the wanted driver, else the first of `PREFERRED`; a simulation only when all is one."""
        if usable not in self._drivers:
            names = {name for name in usable if self._simulated or name != SIMULATED}
            wanted = PREFERRED if self.needs.driver is None else (self.needs.driver,)
            self._drivers[usable] = next((name for name in wanted if name in names), None)
        return self._drivers[usable]


def explain(rules: Rules, groups: Mapping[str, Sequence[Judged]]) -> str:
    """Say in one sentence what would make it fit; `groups`: hosts by the first rule that refuses them.

    The hosts that come closest say it: those that only the last of the rules refuses.
    """
    if not groups:
        return "no host is up: register one with POST /hosts, then PATCH it to status up"
    up = {rule: groups[rule] for rule in _REMEDIES if rule in groups}
    if not up:
        return "no host is up: set one up with PATCH /hosts/{id}, or see why its node does not answer"
    last = list(up)[-1]
    closest = rules.verdict(max(up[last], key=lambda judged: rules.free(judged.host, last)))
    failed = next((rule for rule in closest["rules"] if not rule["passed"]), None)
    if failed is None:  # closed since the look: it did not keep what it promised, and a new look says why
        return "no host fits at this moment: try again"
    figures = dict(failed)
    if last == "memory":
        figures["needed"], figures["available"] = _in_mib(failed["needed"], failed["available"])
    remedy = _REMEDIES[last].format(**figures)
    refused = ", ".join(f"{len(group)} by {rule}" for rule, group in up.items())
    return f"no host fits: {remedy} (hosts refused: {refused})"


# in the order of the rules
_REMEDIES = {
    "files": "{needed} is on another host: make room there, or bring it to a pool that more hosts have",
    "driver": "no usable driver for {needed}; usable: {available}",
    "memory": "{needed} MiB of memory needed, at most {available} MiB free; ask for less or add a host",
    "cpus": "{needed} vCPUs needed, at most {available} free; ask for fewer or add a host",
}


def _in_mib(needed: int, available: int) -> tuple[int, int]:
    """Rounded apart, so that what does not fit never looks as if it did."""
    return -(-needed // _MIB), available // _MIB


def _up(host: Candidate) -> dict[str, Any]:
    reason = f": {host.status_reason}" if host.status_reason else ""
    return _rule("up", host.status == "up", "up", host.status, f"the host is {host.status}{reason}")


def _file(host: Candidate, path: str, home: str) -> dict[str, Any]:
    here = home == host.id
    sentence = f"{path} is {'here' if here else 'on another host'}"
    return _rule("files", here, path, path if here else None, sentence)


def _driver(host: Candidate, wanted: str | None, chosen: str | None) -> dict[str, Any]:
    offered = ", ".join(host.usable_drivers) or "none"
    return _rule("driver", chosen is not None, wanted or "any", offered, f"usable drivers: {offered}")


def _memory(needed: int, free: int) -> dict[str, Any]:
    needs, has = _in_mib(needed, max(free, 0))
    sentence = f"{needs} MiB of memory needed, {has} free"
    return _rule("memory", needed <= free, needed, max(free, 0), sentence)


def _cpus(needed: int, free: int) -> dict[str, Any]:
    sentence = f"{needed} vCPUs needed, {max(free, 0)} free"
    return _rule("cpus", needed <= free, needed, max(free, 0), sentence)


def _rule(rule: str, passed: bool, needed: object, available: object, message: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "passed": passed,
        "needed": needed,
        "available": available,
        "message": message,
    }
