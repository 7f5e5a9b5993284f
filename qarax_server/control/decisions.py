"""What to do about what a node observes, and about operations that nobody is working on. Pure.

An operation was left open by a server that died, or by a call that timed out. Making, stopping and deleting
are taken up again: they were accepted, a node answers them the same however often it is asked, and they lead
to one end. The rest is settled by what is so: a start that did not happen is reported, and not done unasked.
A cancelled one is not gone on with, and of what a node is still doing nothing is said before its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from qarax_server.control.transitions import ACTIONS
from qarax_server.models import Operation
from qarax_server.observed import Observation

STILL_ON = "the guest was told to power off and may still do so"
NEVER_MADE = "it was taken back before its node was told"


@dataclass(frozen=True)
class TakeUp:
    """Tell the node again."""


@dataclass(frozen=True)
class Succeed:
    """What it wanted is so."""


@dataclass(frozen=True)
class Fail:
    """It did not happen, and will not by itself."""

    reason: str


@dataclass(frozen=True)
class Cancel:
    """It was taken back in time."""

    reason: str


@dataclass(frozen=True)
class Wait:
    """The node is at it, or cannot tell yet: look again."""


Decision = TakeUp | Succeed | Fail | Cancel | Wait


def settle(operation: Operation, observed: Observation | None, *, in_time: bool = False) -> Decision:
    """Decide about one open operation.

    Args:
        operation: it.
        observed: the VM as its node sees it; None when the node does not have it.
        in_time: whether its deadline is still to come, so that a node may take its time to find a VMM again.
    """
    action = operation.action
    if operation.cancel_requested and (reason := _taken_back(action, observed)):
        return Cancel(reason)
    if _to_be_told_again(action, observed):
        return TakeUp()
    if observed is None:
        return Fail("the node does not have this VM any more")
    if action == "create" or observed.status in ACTIONS[action].already:
        return Succeed()
    if observed.doing or (in_time and observed.status == "unknown"):
        return Wait()
    return Fail(_cut_off(action, observed.status))


def _cut_off(action: str, status: str) -> str:
    if action == "reboot":
        return f"the answer was lost on the way; the VM is {status}: reboot again if need be"
    return f"it was cut off before it happened; the VM is {status}: try again"


def _to_be_told_again(action: str, observed: Observation | None) -> bool:
    if observed is None:
        return action in {"create", "delete"}
    return action == "delete" or (action == "stop" and observed.status in ACTIONS["stop"].allowed)


def _taken_back(action: str, observed: Observation | None) -> str:
    """Why a cancelled operation is over; empty when it came to its end before."""
    if action == "create" and observed is None:
        return NEVER_MADE
    if action == "stop" and observed is not None and observed.status in ACTIONS["stop"].allowed:
        return STILL_ON
    return ""


@dataclass(frozen=True)
class Comparison:
    """How a host's node and the database differ.

    `missing`: VMs kept on this host that the node does not have. `strangers`: VMs that the node has and that
    are none of this host's. `untold`: deletions that the node is still to be told of. `told`: deletions that
    it need not be told of any more.
    """

    missing: frozenset[str]
    strangers: tuple[Observation, ...]
    untold: frozenset[str]
    told: frozenset[str]


def compare(
    host_id: str, seen: Iterable[Observation], homes: Mapping[str, str], tombs: Collection[str]
) -> Comparison:
    """Compare what a host's node has with the database.

    Args:
        host_id: the host.
        seen: every VM of its node.
        homes: the host of each VM that is kept on this one or was seen here.
        tombs: ids of VMs of this host that were deleted while its node was away.
    """
    seen = tuple(seen)
    present = {each.vm_id for each in seen}
    return Comparison(
        missing=frozenset(vm_id for vm_id, home in homes.items() if home == host_id) - present,
        strangers=tuple(each for each in seen if is_stranger(each, homes, host_id, tombs)),
        untold=frozenset(tombs) & present,
        told=frozenset(tombs) - present,
    )


def is_stranger(
    observed: Observation, homes: Mapping[str, str], host_id: str, tombs: Collection[str]
) -> bool:
    """Tell whether a VM on a node is none of that host's: unknown here, or kept on another host."""
    return homes.get(observed.vm_id) != host_id and observed.vm_id not in tombs


def is_impostor(known_node: str | None, answering: str) -> bool:
    """Tell whether another node answers than the one that a host is known by."""
    return known_node not in {None, answering}
