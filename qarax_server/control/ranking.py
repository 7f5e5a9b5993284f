"""Hosts in the order in which VMs of one size prefer them, kept up as their room is promised away.

What a host has free only shrinks from one look at the fleet to the next, so the place that it once had in the
order is never too low: only the first one is looked at anew, until the first one is where it belongs.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence

from qarax_server.control.verdicts import Needs, score, too_small
from qarax_server.models import Candidate

FITS = "fits"


class Room:
    """A host, and what of it can be promised yet."""

    __slots__ = ("cpus", "free_cpus", "free_memory", "host", "memory")

    def __init__(self, host: Candidate, memory: int, cpus: int) -> None:
        self.host = host
        self.memory, self.cpus = memory, cpus
        self.free_memory = memory - host.allocated_memory_bytes
        self.free_cpus = cpus - host.allocated_vcpus


class Ranking:
    """The hosts for VMs of one size: those that fit, and those that a rule refuses."""

    def __init__(
        self, open_rooms: Sequence[Room], refused: Mapping[str, Sequence[Room]], needs: Needs
    ) -> None:
        self._memory, self._vcpus = needs.memory, needs.vcpus
        self._refused = refused
        self._sized: dict[str, dict[str, Room]] = {"memory": {}, "cpus": {}, FITS: {}}
        for room in open_rooms:
            self._sized[self._verdict(room)][room.host.id] = room
        self._order = [self._key(room) for room in self._sized[FITS].values()]
        heapq.heapify(self._order)

    def best(self) -> Room | None:
        """The one left with the largest free share; of equals the first by name."""
        fitting = self._sized[FITS]
        while self._order:
            first = self._order[0]
            room = fitting.get(first[2])
            if room is None:
                heapq.heappop(self._order)
            elif (now := self._key(room)) == first:
                return room
            else:
                heapq.heapreplace(self._order, now)
        return None

    def shrunk(self, room: Room) -> None:
        """A host has less free than before."""
        verdict = self._verdict(room)
        for rule in (FITS, "cpus"):
            if rule != verdict and self._sized[rule].pop(room.host.id, None) is not None:
                self._sized[verdict][room.host.id] = room

    def groups(self) -> dict[str, Collection[Room]]:
        """All hosts by the first rule that refuses them."""
        sized = {rule: group.values() for rule, group in self._sized.items() if group}
        return {**self._refused, **sized}

    def _verdict(self, room: Room) -> str:
        return too_small(room.free_memory - self._memory, room.free_cpus - self._vcpus) or FITS

    def _key(self, room: Room) -> tuple[float, str, str]:
        memory, cpus = room.free_memory - self._memory, room.free_cpus - self._vcpus
        return -score(memory, room.memory, cpus, room.cpus), room.host.name, room.host.id
