"""Makes the database agree with what the nodes see, a whole host at a time, and settles what was left open.

Level-triggered: every connection to a node begins with its whole state, so nothing depends on having seen
each change. One statement writes all VMs of a host; an older observation never overwrites a newer one.
`monitor` and `inbox` feed it; what to do about open operations is decided in `decisions`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from qarax_server import caller
from qarax_server.control import cancellation, creation, decisions, history, lifecycle, settling
from qarax_server.control.core import Core
from qarax_server.database import Event, Transaction
from qarax_server.errors import NotFound, QaraxError
from qarax_server.models import Host, Operation
from qarax_server.observed import NodeFacts, Observation, Snapshot
from qarax_server.store import hosts, operations, orphans, vms
from qarax_server.store.operations import Open
from qarax_server.store.vms import Change

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Hosts whose whole state is written at once; more takes memory and connections, and no less time."""
GONE = "the node of its host does not have this VM"


class Reconciler:
    """One per server."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def take_snapshot(self, host: Host, snapshot: Snapshot) -> bool:
        """Write a host's whole state; False when another node answers there than the known one."""
        async with self._turns, self._core.database.transaction() as tx:
            known = await hosts.lock_host(tx, host.id)
            if decisions.is_impostor(known.node_id, snapshot.facts.node_id):
                await self._misidentified(tx, known, snapshot.facts.node_id)
                return False
            if news := _news(known, snapshot.facts):
                before = await tx.snapshot("host", host.id)
                tx.record(Event("observe", "host", host.id, host.name, news, before=before))
            shown = {} if known.reachable else await vms.list_documents(tx, host.id)
            changes = await vms.update_observed(tx, [(host.id, seen) for seen in snapshot.vms])
            _record_shown(tx, shown, changes)
            hosts.update_reachable(tx, host.id, snapshot.facts)
            found = await self._compare(tx, host, snapshot)
        for sentence in snapshot.strangers:
            log.warning("host %s: %s", host.name, sentence)
        await self._check_missing(host, found.missing)
        await self._tell_deleted(host, found)
        return True

    async def lose(self, host: Host, reason: str) -> None:
        """Write that a host's node does not answer: its VMs are unknown from here on."""
        async with self._core.database.transaction() as tx:
            known = await hosts.lock_host(tx, host.id)
            before = await tx.snapshot("host", host.id)
            shown = await vms.list_documents(tx, host.id) if known.reachable else {}
            if await hosts.update_unreachable(tx, host.id, reason):
                message = (
                    f"host {host.name} is unknown: {reason}" if known.admitted else f"{host.name}: {reason}"
                )
                tx.record(Event("observe", "host", host.id, host.name, message, before=before))
                _record_shown(tx, shown, [])

    async def take_changes(self, seen: Mapping[str, tuple[str, Observation]]) -> None:
        """Write single changes of many VMs: id → (host id, observation)."""
        async with self._core.database.transaction() as tx:
            history.record_observed(tx, await vms.update_observed(tx, seen.values()))
            homes = await vms.list_vm_hosts(tx, list(seen))
        for vm_id, (host_id, observed) in seen.items():
            if homes.get(vm_id) != host_id:
                self._core.tasks.start(self._find_stranger(host_id, observed))

    async def take_facts(self, host: Host, facts: NodeFacts) -> None:
        """Write what a node says of itself anew: degraded, or well again."""
        async with self._core.database.transaction() as tx:
            known = await hosts.lock_host(tx, host.id)
            if known.node_id == facts.node_id:
                before = await tx.snapshot("host", host.id)
                hosts.update_reachable(tx, host.id, facts)
                message = f"host {host.name}: {facts.degraded_reason or 'all is well'}"
                tx.record(Event("observe", "host", host.id, host.name, message, before=before))

    async def forget_stranger(self, host: Host, vm_id: str) -> None:
        """A VM left its node: an orphan is none any more; one that should be there is looked for."""
        async with self._core.database.transaction() as tx:
            if name := await orphans.delete_orphan(tx, host.id, vm_id):
                tx.record(Event("gone", "orphan", vm_id, name, f"orphan {name} left host {host.name}"))
        async with self._core.database.connection() as c:
            home = (await vms.list_vm_hosts(c, [vm_id])).get(vm_id)
        if home == host.id:
            await self._check_missing(host, [vm_id])

    async def settle_open(self) -> None:
        """Settle the operations that nobody works on and whose host answers."""
        async with self._core.database.connection() as c:
            left = [
                each
                for each in await operations.list_open_vm_operations(c)
                if each.operation.id not in self._core.mine
            ]
            if not left:
                return
            known = {host.id: host for host in await hosts.list_hosts(c)}
        for each in left:
            host = known.get(each.host_id or "")
            if host is not None and host.reachable:
                self._core.mine.begin(each.operation)
                self._core.tasks.start(self._settle(each, host))

    async def _settle(self, left: Open, host: Host) -> None:
        operation = left.operation
        caller.become(caller.Caller(operation.actor, operation.request_id))
        try:
            observed = await self._look(host, operation.subject_id)
            decision = decisions.settle(operation, observed, in_time=left.seconds_left > 0)
            if not isinstance(decision, decisions.Wait):
                log.info("%s of %s was left open: %s", operation.action, operation.subject_name, decision)
            if isinstance(decision, decisions.TakeUp):
                await self._take_up(left, host)
            elif isinstance(decision, decisions.Succeed) and observed is not None:
                await settling.succeed(self._core, operation, host.id, observed)
            elif isinstance(decision, decisions.Fail):
                seen = (host.id, observed) if observed else None
                await settling.fail(self._core, operation, decision.reason, seen)
            elif isinstance(decision, decisions.Cancel):
                await self._take_back(operation, host, observed, decision.reason)
        except QaraxError as error:
            log.warning("%s of %s stays open: %s", operation.action, operation.subject_name, error)
        finally:
            self._core.mine.end(operation)

    async def _take_up(self, left: Open, host: Host) -> None:
        operation = left.operation
        if operation.action == "create":
            await creation.tell_node(self._core, operation)
        elif operation.action == "delete":
            await self._core.nodes.of(host).delete_vm(operation.subject_id)
            await settling.forget(self._core, operation, host.id, told=True)
        else:
            subject = await lifecycle.read(self._core, operation.action, operation.subject_id)
            shorter = lifecycle.with_grace(operation, int(left.seconds_left))
            observed = await lifecycle.perform(self._core, shorter, subject)
            await settling.succeed(self._core, operation, host.id, observed)

    async def _take_back(
        self, operation: Operation, host: Host, observed: Observation | None, reason: str
    ) -> None:
        if operation.action == "create":
            await self._core.nodes.of(host).delete_vm(operation.subject_id)
            await settling.undo_creation(self._core, operation, host.id, reason, status="cancelled")
        elif observed is not None and observed.doing == "stop":
            await cancellation.call_off(self._core, operation)
        else:
            seen = (host.id, observed) if observed else None
            await settling.cancel(self._core, operation, reason, seen)

    async def _look(self, host: Host, vm_id: str) -> Observation | None:
        try:
            return await self._core.nodes.of(host).get_vm(vm_id)
        except NotFound:
            return None

    async def _misidentified(self, tx: Transaction, host: Host, answering: str) -> None:
        reason = (
            f"misidentified: node {answering} answers at {host.address}:{host.port}, not {host.node_id}; "
            "set the host down and up again to accept it"
        )
        before = await tx.snapshot("host", host.id)
        shown = await vms.list_documents(tx, host.id) if host.reachable else {}
        if await hosts.update_unreachable(tx, host.id, reason):
            log.warning("host %s is %s", host.name, reason)
            tx.record(
                Event("observe", "host", host.id, host.name, f"host {host.name}: {reason}", before=before)
            )
            _record_shown(tx, shown, [])

    async def _find_stranger(self, host_id: str, seen: Observation) -> None:
        """Look at a VM that a node spoke of and nobody here knows: gone by now, or an orphan."""
        async with self._core.database.connection() as c:
            host = await hosts.get_host(c, host_id)
        if await self._look(host, seen.vm_id) is None:
            return
        async with self._core.database.transaction() as tx:
            await hosts.lock_host(tx, host_id)
            known = await orphans.list_known(tx, host_id, [seen.vm_id])
            if decisions.is_stranger(
                seen, known.homes, host_id, known.deleted
            ) and await orphans.insert_orphan(tx, host_id, seen):
                message = f"orphan {seen.name} on host {host.name}: found"
                tx.record(Event("found", "orphan", seen.vm_id, seen.name, message))
        # a deletion that was carried out between that look and the lock has left nothing to see it by
        if await self._look(host, seen.vm_id) is None:
            await self.forget_stranger(host, seen.vm_id)

    async def _compare(self, tx: Transaction, host: Host, snapshot: Snapshot) -> decisions.Comparison:
        known = await orphans.list_known(tx, host.id, [seen.vm_id for seen in snapshot.vms])
        found = decisions.compare(host.id, snapshot.vms, known.homes, known.deleted)
        if found.strangers or known.orphans:
            await self._note_strangers(tx, host, found.strangers)
        return found

    async def _note_strangers(self, tx: Transaction, host: Host, strange: Sequence[Observation]) -> None:
        for vm_id, name, change in await orphans.sync_orphans(tx, host.id, strange):
            message = f"orphan {name} on host {host.name}: {change}"
            tx.record(Event(change, "orphan", vm_id, name, message))

    async def _check_missing(self, host: Host, missing: Iterable[str]) -> None:
        """Ask the node once more for each VM that it did not list, then write which ones it does not have."""
        gone = [vm_id for vm_id in missing if await self._look(host, vm_id) is None]
        if gone:
            async with self._core.database.transaction() as tx:
                history.record_observed(tx, await vms.update_absent(tx, host.id, gone, GONE))

    async def _tell_deleted(self, host: Host, found: decisions.Comparison) -> None:
        """Bring deletions home that the node was not there for."""
        for vm_id in found.untold | found.told:
            if vm_id in found.untold:
                log.info("telling host %s that VM %s was deleted while it was away", host.name, vm_id)
                await self._core.nodes.of(host).delete_vm(vm_id)
            async with self._core.database.connection() as c:
                await orphans.delete_tombstone(c, vm_id)


def _news(known: Host, facts: NodeFacts) -> str:
    """What is new about a node that answers; empty for what is known."""
    answers = f"the node of host {known.name} answers"
    if not known.reachable or known.status == "unknown":
        return answers
    if known.boot_id != facts.boot_id:
        return f"host {known.name} was booted anew"
    if not hosts.versions_of(facts).items() <= known.versions.items():
        return f"the node of host {known.name} is version {facts.version} now"
    shown = known.status_reason or "", known.cpus, known.memory_bytes, list(known.drivers)
    if shown != (facts.degraded_reason, facts.cpus, facts.memory_bytes, list(facts.drivers)):
        return f"host {known.name}: {facts.degraded_reason}" if facts.degraded_reason else answers
    return ""


def _record_shown(tx: Transaction, shown: Mapping[str, tuple[str, str]], changes: list[Change]) -> None:
    """VMs whose shown status changed because their host's did, then those that changed by themselves."""
    by_itself = {change.vm_id for change in changes}
    for vm_id, (name, before) in shown.items():
        if vm_id not in by_itself:
            history.record_vm(
                tx, "observe", (vm_id, name), f"{name}: its host's reachability changed", before
            )
    history.record_observed(tx, changes)
