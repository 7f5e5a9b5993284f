"""Which host gets a VM: hosts and needs in, a table of verdicts out. No I/O.

Rules, in this order: the host is up; its kernel and disks are there; it offers a usable driver; the
memory is free; the CPUs are free. Of the hosts that fit, the one left with the largest free share of memory
and CPUs wins, the name deciding between equals. `creation` claims what was decided here, and asks again when
somebody else was faster. `verdicts` writes the table in words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from qarax_server.control.ranking import FITS, Room
from qarax_server.control.survey import Survey
from qarax_server.control.verdicts import Needs, Rules, explain
from qarax_server.models import Candidate
from qarax_server.settings import Placement as Limits

# a table of so many hosts is kept whole; of a longer one the chosen host and some examples of each verdict
SHORT_TABLE = 20
EXAMPLES = 3


@dataclass(frozen=True)
class Decision:
    """The chosen host and driver, or neither, and the table as it is stored and served.

    `counts`: how many hosts fit, and how many each rule refused first.
    """

    host_id: str | None
    driver: str | None
    message: str
    hosts: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """The decision as JSON."""
        return {
            "host_id": self.host_id,
            "driver": self.driver,
            "message": self.message,
            "counts": dict(self.counts),
            "hosts": list(self.hosts),
        }


def decide(hosts: Sequence[Candidate], needs: Needs, limits: Limits, *, whole: bool = False) -> Decision:
    """Apply the rules to every host and choose; `whole`: with the verdict on each of them in the table."""
    return decide_by(Survey(hosts, limits), needs, whole=whole)


def decide_by(survey: Survey, needs: Needs, *, whole: bool = False) -> Decision:
    """The same by a look that was taken before."""
    rules = survey.rules(needs)
    ranking = survey.ranking(rules)
    groups, best = ranking.groups(), ranking.best()
    if whole or len(survey.rooms) <= SHORT_TABLE:
        shown = list(survey.rooms.values())
    else:
        shown = _examples(best, groups)
    return Decision(
        host_id=best.host.id if best else None,
        driver=rules.driver(best.host.usable_drivers) if best else None,
        message=_praise(best.host, len(groups[FITS])) if best else _why_none(survey, rules, groups),
        hosts=tuple(rules.verdict(rules.judge(survey.candidate(room))) for room in shown),
        counts={verdict: len(group) for verdict, group in sorted(groups.items())},
    )


def _why_none(survey: Survey, rules: Rules, groups: Mapping[str, Collection[Room]]) -> str:
    judged = {rule: [rules.judge(survey.candidate(room)) for room in group] for rule, group in groups.items()}
    return explain(rules, judged)


def _examples(best: Room | None, groups: Mapping[str, Collection[Room]]) -> list[Room]:
    """The chosen one first, then a few of each kind."""
    chosen = [best] if best else []
    for group in groups.values():
        chosen += [each for each in islice(group, EXAMPLES + 1) if each is not best][:EXAMPLES]
    return chosen


def _praise(best: Candidate, count: int) -> str:
    those = "1 host that fits" if count == 1 else f"{count} hosts that fit"
    return f"{best.name}: the most room of {those}"
