"""A place for a new VM: decided by one look at the fleet, then claimed of the host by the database.

The look (`survey`) may be a moment old and may have counted in a promise that came to nothing. So a host
whose claim fails is left alone until the next look, and nobody is refused but by a look of his own: exact,
without ever skipping a host for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from qarax_server.control import files, placement
from qarax_server.control.core import Core
from qarax_server.control.files import Files
from qarax_server.control.placement import Decision
from qarax_server.control.survey import Survey
from qarax_server.control.verdicts import Needs
from qarax_server.database import Connection, Transaction
from qarax_server.errors import Invalid
from qarax_server.models import Host, NewVm
from qarax_server.store import hosts, placements


@dataclass(frozen=True)
class Place:
    """A claimed share of a host, and why it is there."""

    decision: Decision
    host: Host
    driver: str
    files: Files


async def preview(core: Core, c: Connection, new: NewVm) -> Decision:
    """Decide with the verdict on each host, and claim nothing."""
    found = await files.resolve(c, new.boot_source_id, new.disks, core.settings.vm_defaults)
    survey = Survey(await hosts.list_candidates(c), core.settings.placement)
    return placement.decide_by(survey, _needs(new, found), whole=True)


async def claim(core: Core, tx: Transaction, new: NewVm) -> Place:
    """Claim a share of the best host.

    Raises:
        Invalid: no host fits; `details["placement"]` says why.
    """
    found = await files.resolve(tx, new.boot_source_id, new.disks, core.settings.vm_defaults)
    needs = _needs(new, found)
    survey, just_looked = core.survey, False
    while True:
        if survey is None or not survey.fresh:
            survey, just_looked = await _look(core, tx), True
        decision = placement.decide_by(survey, needs)
        if decision.host_id is not None and decision.driver is not None:
            survey.promise(decision.host_id, needs)
            host = await _claim_of(core, tx, decision.host_id, needs)
            if host is not None:
                return Place(decision, host, decision.driver, found)
            survey.close(decision.host_id)
            just_looked = False
        elif just_looked:
            table = {"vm_id": None, "decided_at": await placements.get_time(tx), **decision.document()}
            raise Invalid(decision.message, code="no_host_fits", details={"placement": table})
        else:
            survey = None


def memory_of(new: NewVm) -> int:
    """What a VM may come to use; the same sum as in `delete_vm` of sql/queries/vms.sql."""
    return new.memory_size + (new.memory_hotplug_size or 0)


def _needs(new: NewVm, found: Files) -> Needs:
    return Needs(new.boot_vcpus, memory_of(new), new.driver, found.homes)


async def _look(core: Core, c: Connection) -> Survey:
    core.survey = Survey(await hosts.list_candidates(c), core.settings.placement)
    return core.survey


async def _claim_of(core: Core, tx: Transaction, host_id: str, needs: Needs) -> Host | None:
    limits = core.settings.placement
    return await hosts.claim_host(
        tx,
        host_id,
        vcpus=needs.vcpus,
        memory=needs.memory,
        cpu_overcommit=limits.cpu_overcommit,
        memory_overcommit=limits.memory_overcommit,
    )
