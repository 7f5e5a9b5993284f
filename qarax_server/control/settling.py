"""The end of an operation: what was observed, the operation's outcome and their events, in one transaction.

Used by whoever brings an operation to its end: the action itself, or the reconciler after a crash. Rows are
locked in one order everywhere (host, VM, operation, then the events' lock), so nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qarax_server import caller
from qarax_server.caller import Caller
from qarax_server.control import history
from qarax_server.control.core import Core
from qarax_server.control.failpoints import reach
from qarax_server.control.transitions import ACTIONS
from qarax_server.database import Transaction
from qarax_server.errors import Busy, Conflict, OlderFence, QaraxError
from qarax_server.models import Operation
from qarax_server.nodes.failures import is_refusal
from qarax_server.observed import Observation
from qarax_server.store import hosts, operations, orphans, vms
from qarax_server.store.operations import Changed, End

TELLING = frozenset({"create", "start"})
DONE = {name: action.done for name, action in ACTIONS.items()} | {"create": "was made"}
OUTCOMES = {
    "obeyed": "the guest obeyed",
    "forced": "forced",
    "guest_poweroff": "the guest had powered itself off",
    "crashed": "the VMM had died",
    "host_reboot": "the host had rebooted",
    "inferred": "nobody saw it end",
}


@dataclass(frozen=True)
class Reached:
    """An action that reached its goal: what was observed then, and for whom it happened."""

    operation: Operation
    host_id: str
    observed: Observation
    who: Caller

    @property
    def vm_id(self) -> str:
        """The VM that it was about."""
        return self.operation.subject_id

    @property
    def tells(self) -> bool:
        """Whether the node was told the VM's spec."""
        return self.operation.action in TELLING

    @property
    def end(self) -> End:
        """How its operation ends."""
        outcome, reason = describe_stop(self.observed) if self.operation.action == "stop" else ("done", None)
        return End(self.operation.id, "succeeded", outcome, reason)


def describe_stop(observed: Observation) -> tuple[str, str]:
    """Return how a VM was stopped, as the contract's word and as a sentence."""
    sentence = OUTCOMES.get(observed.stop_how, "it is shut down")
    if observed.stop_how in {"obeyed", "forced"} and observed.stop_seconds:
        sentence = f"{sentence} after {observed.stop_seconds:.1f} s"
    if observed.stop_how in {"crashed", "inferred"} and observed.stop_detail:
        sentence = f"{sentence}: {observed.stop_detail}"
    return observed.stop_how or "done", sentence


async def succeed(core: Core, operation: Operation, host_id: str, observed: Observation) -> str:
    """Settle an action that reached its goal and return the VM's JSON text.

    Raises:
        Conflict: a stronger action took over in the meantime.
        NotFound: the VM was deleted in the meantime.
    """
    reached = Reached(operation, host_id, observed, caller.current())
    document: str = await core.together(settle).do(reached)
    if document:
        return document
    async with core.database.connection() as c:
        _check_outcome(operation, await operations.get_operation(c, operation.id))
        return await vms.get_vm_document(c, operation.subject_id)


async def settle(core: Core, reached: Sequence[Reached]) -> Sequence[str | None]:
    """Settle actions that reached their goals, all in one transaction.

    Returns:
        For each its VM's JSON text; empty when somebody else had settled it; None when it is to be tried
        again, for another one was about the same VM.
    """
    firsts = {each.vm_id: each for each in reversed(reached)}
    async with core.database.transaction() as tx:
        vms.lock_vms(tx, list(firsts))
        told = {vm_id: each.observed.spec_digest for vm_id, each in firsts.items() if each.tells}
        if told:
            vms.update_told(tx, told)
        settled = await operations.settle_operations(tx, [each.end for each in firsts.values()])
        seen = [(each.host_id, each.observed) for each in firsts.values()]
        changes = {change.vm_id: change for change in await vms.update_observed(tx, seen)}
        for vm_id, each in firsts.items():
            if changed := settled.get(each.operation.id):
                _record(tx, each, changed)
            elif vm_id in changes:
                history.record_observed(tx, [changes[vm_id]])
        tx.tell("vm", [vm_id for vm_id, each in firsts.items() if each.operation.id in settled])
    for each in firsts.values():
        core.mine.wrote(each.host_id, each.observed)
    return [tx.documents.get(each.vm_id, "") if each is firsts[each.vm_id] else None for each in reached]


def _record(tx: Transaction, reached: Reached, changed: Changed) -> None:
    operation, reason = reached.operation, reached.end.reason
    history.record_operation(tx, changed, reached.who)
    message = f"{operation.subject_name} {DONE[operation.action]}" + (f": {reason}" if reason else "")
    vm = (operation.subject_id, operation.subject_name)
    history.record_vm(tx, operation.action, vm, message, changed.vm_before, who=reached.who)
    reach(f"{operation.action}.settling")


async def fail(
    core: Core, operation: Operation, reason: str, observed: tuple[str, Observation] | None = None
) -> None:
    """Settle an action that did not happen; with what was seen (host id, observation) instead, if known.

    Raises:
        Conflict: a stronger action had taken over.
    """
    message = f"{operation.action} of {operation.subject_name} failed: {reason}"
    if not await _give_up(core, operation, ("failed", "refused", reason, message), observed):
        async with core.database.connection() as c:
            _check_outcome(operation, await operations.get_operation(c, operation.id))


async def cancel(
    core: Core, operation: Operation, reason: str, observed: tuple[str, Observation] | None = None
) -> None:
    """Settle an action that was taken back before it happened; with what was seen instead, if known."""
    message = f"{operation.action} of {operation.subject_name} was cancelled: {reason}"
    await _give_up(core, operation, ("cancelled", "cancelled", reason, message), observed)


async def _give_up(
    core: Core,
    operation: Operation,
    end: tuple[str, str, str, str],
    observed: tuple[str, Observation] | None,
) -> bool:
    """End an action (status, outcome, reason, message for its VM's event); False when it had ended before."""
    status, outcome, reason, message = end
    async with core.database.transaction() as tx:
        vms.lock_vms(tx, [operation.subject_id])
        settled = await operations.settle_operation(tx, operation.id, status, outcome, reason)
        changes = await vms.update_observed(tx, [observed] if observed else [])
        if settled is None:
            history.record_observed(tx, changes)
            return False
        history.record_operation(tx, settled)
        vm = (operation.subject_id, operation.subject_name)
        history.record_vm(tx, operation.action, vm, message, settled.vm_before)
        return True


async def forget(core: Core, operation: Operation, host_id: str, *, told: bool) -> None:
    """Settle a deletion: the row, its claim and its disks go; an untold node gets a tombstone."""
    reason = None if told else "its host is away; its node is told when it returns"
    async with core.database.transaction() as tx:
        await _lock(tx, operation, host_id)
        settled = await operations.settle_operation(tx, operation.id, "succeeded", "done", reason)
        if settled is None:
            return
        name = await _delete(tx, operation.subject_id)
        if not told:
            await orphans.insert_tombstone(tx, operation.subject_id, host_id, name)
        history.record_operation(tx, settled)
        message = f"{name} was deleted" + (f": {reason}" if reason else "")
        history.record_vm(tx, "delete", (operation.subject_id, name), message, settled.vm_before)
        reach("delete.settling")


async def undo_creation(
    core: Core, operation: Operation, host_id: str, reason: str, *, status: str = "failed"
) -> None:
    """Settle a creation that a node refused, or that was cancelled: row and claim go as if never there."""
    how = "refused" if status == "failed" else status
    async with core.database.transaction() as tx:
        await _lock(tx, operation, host_id)
        settled = await operations.settle_operation(tx, operation.id, status, how, reason)
        if settled is None:
            return
        name = await _delete(tx, operation.subject_id)
        history.record_operation(tx, settled)
        message = f"{name} was {how}: {reason}"
        history.record_vm(tx, "create", (operation.subject_id, name), message, settled.vm_before)


async def is_outcome(core: Core, error: QaraxError) -> bool:
    """Tell whether a node's error ends an operation: it refused, and this server still has a say.

    One that woke late is refused for its fencing number, and the operation is the other server's by then.
    """
    if isinstance(error, OlderFence):
        return await core.lease.is_held()
    return is_refusal(error)


def busy(operation: Operation) -> Busy:
    """The error for whoever comes second; it carries the operation in the way."""
    details = {
        "id": operation.id,
        "action": operation.action,
        "status": operation.status,
        "actor": operation.actor,
        "started_at": operation.started_at.isoformat(),
        "deadline_at": operation.deadline_at.isoformat() if operation.deadline_at else None,
    }
    sentence = f"{operation.subject_name} is busy: {operation.action} by {operation.actor} is under way"
    return Busy(sentence, details={"operation": details})


async def _lock(tx: Transaction, operation: Operation, host_id: str) -> None:
    """Lock a host and one of its VMs, in this order."""
    await hosts.lock_host(tx, host_id)
    vms.lock_vms(tx, [operation.subject_id])


async def _delete(tx: Transaction, vm_id: str) -> str:
    """Forget a VM, give its share of its host back, and return its name."""
    share = await vms.delete_vm(tx, vm_id)
    await hosts.release_host(tx, share.host_id, vcpus=share.vcpus, memory=share.memory)
    return share.name


def _check_outcome(mine: Operation, ended: Operation) -> None:
    """Raise what an action is told that somebody else ended: nothing when that was its own success."""
    if ended.status == "succeeded":
        return
    raise Conflict(f"{mine.action} of {mine.subject_name} {ended.status}: {ended.reason}", code="taken_over")
