"""Places for new VMs: decided by one look at the fleet, then claimed of the hosts by the database.

The look (`survey`) may be a moment old and may have counted in a promise that came to nothing. So a host
whose claim fails is left alone until the next look, and nobody is refused but by a look of his own: exact,
without ever skipping a host for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qarax_server.caller import Caller
from qarax_server.control import placement
from qarax_server.control.core import Core
from qarax_server.control.files import Files
from qarax_server.control.placement import Decision
from qarax_server.control.survey import Survey
from qarax_server.control.verdicts import Needs
from qarax_server.database import Connection, Transaction
from qarax_server.errors import Invalid
from qarax_server.models import Host, NewVm
from qarax_server.store import hosts, placements
from qarax_server.store.hosts import Share


@dataclass(frozen=True)
class Wanted:
    """A VM that wants a place, with its files, and for whom."""

    new: NewVm
    files: Files
    who: Caller

    @property
    def needs(self) -> Needs:
        """What a host must have."""
        return Needs(self.new.boot_vcpus, memory_of(self.new), self.new.driver, self.files.homes)


@dataclass(frozen=True)
class Place:
    """A claimed share of a host, and why it is there."""

    decision: Decision
    host: Host


async def preview(core: Core, c: Connection, wanted: Wanted) -> dict[str, Any]:
    """Decide with the verdict on each host, claim nothing, and return the table."""
    survey = Survey(await hosts.list_candidates(c), core.settings.placement)
    decision = placement.decide_by(survey, wanted.needs, whole=True)
    return _table(decision, await placements.get_time(c))


async def claim(core: Core, tx: Transaction, wanted: Sequence[Wanted]) -> list[Place | Invalid | None]:
    """Claim a share of the best host for each; one claim at a time.

    Returns:
        Their places in their order; Invalid where no host fits (`details["placement"]` says why); None where
        somebody else was faster, so that it is to be decided again after this transaction.
    """
    survey, decisions = await _decide(core, tx, wanted)
    shares = [
        Share(decision.host_id, each.new.boot_vcpus, memory_of(each.new), each.who)
        for each, decision in zip(wanted, decisions, strict=True)
        if decision.host_id is not None
    ]
    claimed = await hosts.claim_hosts(tx, shares, core.settings.placement) if shares else {}
    lost = {share.host_id for share in shares} - claimed.keys()
    for host_id in lost:
        survey.close(host_id)
    # what was refused was perhaps promised to one of those that lost
    refused_at = await placements.get_time(tx) if len(shares) < len(wanted) and not lost else None
    return [_place(decision, claimed, refused_at) for decision in decisions]


def memory_of(new: NewVm) -> int:
    """What a VM may come to use; the same sum as in `delete_vm` of sql/queries/vms.sql."""
    return new.memory_size + (new.memory_hotplug_size or 0)


async def _decide(core: Core, tx: Transaction, wanted: Sequence[Wanted]) -> tuple[Survey, list[Decision]]:
    """Decide and promise, by a new look when the known one is old or refuses somebody."""
    if core.survey is not None and core.survey.fresh:
        decisions = _decide_by(core.survey, wanted)
        if all(decision.host_id is not None for decision in decisions):
            return core.survey, decisions
    core.survey = Survey(await hosts.list_candidates(tx), core.settings.placement)
    return core.survey, _decide_by(core.survey, wanted)


def _decide_by(survey: Survey, wanted: Sequence[Wanted]) -> list[Decision]:
    decisions = []
    for each in wanted:
        needs = each.needs
        decision = placement.decide_by(survey, needs)
        if decision.host_id is not None:
            survey.promise(decision.host_id, needs)
        decisions.append(decision)
    return decisions


def _place(decision: Decision, claimed: dict[str, Host], refused_at: str | None) -> Place | Invalid | None:
    """`refused_at`: the database's time; None when a refusal does not hold."""
    if decision.host_id is None:
        return None if refused_at is None else _no_host(decision, refused_at)
    host = claimed.get(decision.host_id)
    return None if host is None else Place(decision, host)


def _no_host(decision: Decision, decided_at: str) -> Invalid:
    details = {"placement": _table(decision, decided_at)}
    return Invalid(decision.message, code="no_host_fits", details=details)


def _table(decision: Decision, decided_at: str) -> dict[str, Any]:
    """A decision as it is answered while there is no VM."""
    return {"vm_id": None, "decided_at": decided_at, **decision.document()}
