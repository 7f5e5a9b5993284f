"""The hosts as placement sees them, from one look into the database to the next.

One look serves many decisions: what this server promises in between is counted in. That is exact all the
same, for the claim itself is checked by the database, and nobody is refused without a look of his own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qarax_server.control.ranking import Ranking, Room
from qarax_server.control.verdicts import SIMULATED, Needs, Rules
from qarax_server.models import Candidate
from qarax_server.settings import Placement as Limits

FRESH_SECONDS = 1.0
MOST_SIZES = 20
Kind = tuple[str | None, frozenset[str]]


@dataclass(frozen=True)
class Field:
    """The hosts by those rules that do not depend on a VM's size: open, or refused by a rule."""

    open: Sequence[Room]
    refused: Mapping[str, Sequence[Room]]


class Survey:
    """One look at all hosts."""

    def __init__(self, hosts: Sequence[Candidate], limits: Limits) -> None:
        offered = {driver for drivers in {host.usable_drivers for host in hosts} for driver in drivers}
        self.simulated = offered <= {SIMULATED}
        self.limits = limits
        self._taken_at = time.monotonic()
        self._fields: dict[Kind, Field] = {}
        self._rankings: dict[tuple[Kind, int, int], Ranking] = {}
        self._promised: dict[str, tuple[int, int]] = {}
        rules = self.rules(Needs(0, 0))
        self.rooms = {host.id: Room(host, *rules.room(host)) for host in hosts}

    @property
    def fresh(self) -> bool:
        """Whether a decision may still be made by it."""
        return time.monotonic() - self._taken_at < FRESH_SECONDS

    def rules(self, needs: Needs) -> Rules:
        """The rules for one VM. A simulation is a candidate only where all is one."""
        return Rules(needs, self.limits, simulated=self.simulated)

    def field(self, rules: Rules) -> Field:
        """Sort the hosts once for all VMs that ask for the same driver and files."""
        key = _kind(rules.needs)
        if key not in self._fields:
            open_ones: list[Room] = []
            refused: dict[str, list[Room]] = {}
            for room in self.rooms.values():
                rule = rules.standing(room.host)
                (refused.setdefault(rule, []) if rule else open_ones).append(room)
            self._fields[key] = Field(open_ones, refused)
        return self._fields[key]

    def ranking(self, rules: Rules) -> Ranking:
        """Rank the hosts once for all VMs that ask for the same, size included."""
        key = (_kind(rules.needs), rules.needs.memory, rules.needs.vcpus)
        if key not in self._rankings:
            field = self.field(rules)
            if len(self._rankings) >= MOST_SIZES:
                del self._rankings[next(iter(self._rankings))]
            self._rankings[key] = Ranking(field.open, field.refused, rules.needs)
        return self._rankings[key]

    def promise(self, host_id: str, needs: Needs) -> None:
        """Count in what is being claimed."""
        room = self.rooms[host_id]
        room.free_memory -= needs.memory
        room.free_cpus -= needs.vcpus
        self._shrunk(room)
        memory, vcpus = self._promised.get(host_id, (0, 0))
        self._promised[host_id] = (memory + needs.memory, vcpus + needs.vcpus)

    def close(self, host_id: str) -> None:
        """A host did not keep what it promised: nothing is asked of it until the next look."""
        room = self.rooms[host_id]
        room.free_memory = room.free_cpus = -1
        self._shrunk(room)

    def _shrunk(self, room: Room) -> None:
        for ranking in self._rankings.values():
            ranking.shrunk(room)

    def candidate(self, room: Room) -> Candidate:
        """A host with what was promised since."""
        host = room.host
        memory, vcpus = self._promised.get(host.id, (0, 0))
        if not memory and not vcpus:
            return host
        return replace(
            host,
            allocated_memory_bytes=host.allocated_memory_bytes + memory,
            allocated_vcpus=host.allocated_vcpus + vcpus,
        )


def _kind(needs: Needs) -> Kind:
    """What of a VM's needs does not depend on its size."""
    return needs.driver, frozenset(needs.files.values())
