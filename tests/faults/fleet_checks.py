"""What must hold of a fleet's history: at every moment, and when all is healed."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qarax_server.models import Candidate
    from qarax_server.settings import Placement
    from tests.faults.fleet_history import FleetHistory


def room(host: Candidate, limits: Placement) -> tuple[Fraction, Fraction]:
    """How many CPUs and bytes of a host may be promised, as exact as PostgreSQL counts."""
    cpus, memory = Fraction(str(limits.cpu_overcommit)), Fraction(str(limits.memory_overcommit))
    return cpus * host.cpus, memory * host.memory_bytes


def check_claims(fleet: FleetHistory) -> None:
    """I2, at every moment."""
    for host in fleet.hosts.values():
        mine = [kept for kept in fleet.rows.values() if kept.host == host.id]
        claims = host.allocated_vcpus, host.allocated_memory_bytes
        assert claims == (sum(each.vcpus for each in mine), sum(each.memory for each in mine)), host
        cpus, memory = room(host, fleet.limits)
        assert host.allocated_vcpus <= cpus, host
        assert host.allocated_memory_bytes <= memory, host


def check_healed(fleet: FleetHistory) -> None:
    """When all is healed: what is kept is so, what was acknowledged is so, the rest is shown."""
    check_claims(fleet)
    assert fleet.acknowledged <= fleet.rows.keys() | fleet.deleted | fleet.forgotten
    assert not fleet.deleted & fleet.rows.keys()
    for vm_id, kept in fleet.rows.items():
        node = fleet.nodes[kept.host].get(vm_id)
        assert kept.open is None
        assert kept.status == (node.status if node else "unknown"), (vm_id, kept)
    for host_id, found in fleet.nodes.items():
        for vm_id, node in found.items():
            at_home = vm_id in fleet.rows and fleet.rows[vm_id].host == host_id
            assert at_home != (fleet.orphans.get(vm_id) == host_id), f"{vm_id} on {host_id}"
            assert vm_id not in fleet.deleted, f"{vm_id} was deleted and is on {host_id}"
            assert node.starts <= fleet.accepted_starts.get(vm_id, 0), f"{vm_id} was started unasked"
