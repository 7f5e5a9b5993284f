"""Which host gets a VM: hosts and needs in, a table of verdicts out. No I/O.

Rules, in this order: the host is up; the pools of kernel and disks are there; it offers a usable driver; the
memory is free; the CPUs are free. Of the hosts that fit, the one left with the largest free share of memory
and CPUs wins, the name deciding between equals. `creation` claims what was decided here, and asks again when
somebody else was faster. `verdicts` writes the table in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qarax_server.control.verdicts import Judged, Needs, Rules, explain
from qarax_server.models import Candidate
from qarax_server.settings import Placement as Limits

# a table of so many hosts is kept whole; of a longer one the chosen host and some examples of each verdict
SHORT_TABLE = 20
EXAMPLES = 3
FITS = "fits"


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
    rules = Rules.of(hosts, needs, limits)
    judged = [rules.judge(host) for host in hosts]
    groups: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        groups[each.failed or FITS].append(each)
    fitting = groups.get(FITS, [])
    best = min(fitting, key=lambda each: (-each.score, each.host.name)) if fitting else None
    shown = judged if whole or len(judged) <= SHORT_TABLE else _examples(best, groups)
    return Decision(
        host_id=best.host.id if best else None,
        driver=best.driver if best else None,
        message=_praise(best.host, len(fitting)) if best else explain(rules, groups),
        hosts=tuple(rules.verdict(each) for each in shown),
        counts={verdict: len(group) for verdict, group in sorted(groups.items())},
    )


def _examples(best: Judged | None, groups: Mapping[str, Sequence[Judged]]) -> list[Judged]:
    """The chosen one first, then a few of each kind."""
    chosen = [best] if best else []
    for group in groups.values():
        chosen += [each for each in group[: EXAMPLES + 1] if each is not best][:EXAMPLES]
    return chosen


def _praise(best: Candidate, count: int) -> str:
    those = "1 host that fits" if count == 1 else f"{count} hosts that fit"
    return f"{best.name}: the most room of {those}"
