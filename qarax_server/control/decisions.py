"""What to do about an operation that nobody is working on, from what its node observes. Pure.

It was left open by a server that died, or by a call that timed out. Making, stopping and deleting are
taken up again: they were accepted, a node answers them the same however often it is asked, and they lead to
one end. The rest is settled by what is so: a start that did not happen is reported, and not done unasked.
"""

from __future__ import annotations

from dataclasses import dataclass

from qarax_server.control.transitions import ACTIONS
from qarax_server.models import Observation, Operation


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


Decision = TakeUp | Succeed | Fail


def settle(operation: Operation, observed: Observation | None) -> Decision:
    """Decide about one open operation; `observed` is None when the node does not have the VM."""
    action = operation.action
    if action == "delete" or (action == "create" and observed is None):
        return TakeUp()
    if observed is None:
        return Fail("the node does not have this VM any more")
    if action == "create" or observed.status in ACTIONS[action].already:
        return Succeed()
    if action == "reboot":
        return Fail(f"the answer was lost on the way; the VM is {observed.status}: reboot again if need be")
    if action == "stop" and observed.status in ACTIONS["stop"].allowed:
        return TakeUp()
    return Fail(f"it was cut off before it happened; the VM is {observed.status}: try again")


def is_stranger(observed: Observation, homes: dict[str, str], host_id: str, tombs: set[str]) -> bool:
    """Tell whether a VM on a node is none of that host's: unknown here, or kept on another host."""
    return homes.get(observed.vm_id) != host_id and observed.vm_id not in tombs
