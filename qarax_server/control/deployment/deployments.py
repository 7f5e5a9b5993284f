"""Deployments: one operation per host at a time, carried in the background and settled whatever happens.

    POST ──▶ installing ──everything in place──▶ initializing ──the node answers──▶ up
                 ├─ a step fails ─────────────────────┴──▶ installation_failed, with step, command and output
                 └─ cancelled before anything that runs was touched ──▶ what it was

The operation's row is the truth. A server that goes away in the middle leaves it open, and the next one says
in which step that was: nothing is taken up by itself, since what the step did is not known. Asked for again,
a deployment does what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from qarax_server.control import history, settling
from qarax_server.control.background import Background
from qarax_server.control.core import Core
from qarax_server.control.deployment import bootc, direct
from qarax_server.control.deployment.plan import Plan, make_plan
from qarax_server.control.deployment.report import Report
from qarax_server.control.deployment.services import named
from qarax_server.control.deployment.steps import AskNode, Run, Step, StepError, perform
from qarax_server.control.networks import check_address
from qarax_server.control.tasks import end
from qarax_server.database import Event, Transaction
from qarax_server.errors import Conflict, DatabaseUnavailable, NotActive, QaraxError
from qarax_server.models import Host, Operation
from qarax_server.store import deployments, hosts, operations

log = logging.getLogger(__name__)

ACTION = "deploy"
WRITE_SECONDS = 1.0
RETRY_SECONDS = 2.0
PLANS: Mapping[str, Sequence[Step]] = {"direct": direct.STEPS, "bootc": bootc.STEPS}


class Deployments:
    """The deployments that this server carries; `ask_node` has the monitor ask a host's node at once."""

    def __init__(self, core: Core, ask_node: AskNode) -> None:
        self._core = core
        self._ask_node = ask_node
        self._background = Background()
        self._work: dict[str, tuple[asyncio.Task[None], Report]] = {}
        core.cancels[ACTION] = self._cancel

    async def create(self, host_id: str, operation_id: str, request: Mapping[str, Any]) -> str:
        """Begin a deployment; return its operation as its GET answers it.

        Raises:
            NotFound: there is no such host.
            Invalid: something it needs is not configured, or not a version.
            Busy: another deployment of the host is under way.
            Conflict: it would end VMs that run there.
        """
        core = self._core
        async with core.database.connection() as c:
            host = await hosts.get_host(c, host_id)
        plan = await asyncio.to_thread(make_plan, core.settings, host.address, request)
        await check_address(host.address, core.settings.application.allowed_networks)
        with self._background.beginning(operation_id):
            async with core.database.transaction() as tx:
                host = await hosts.lock_host(tx, host_id)
                await require_idle(tx, host_id)
                await _check_vms(tx, host, plan)
                operation = await self._begin(tx, host, plan, operation_id)
                text = await operations.get_operation_document(tx, operation.id)
            self._background.start(operation.id, self._carry(operation, host, plan))
        return text

    async def take_up(self) -> None:
        """Settle what a server that is gone was doing: it was interrupted, and the step is named."""
        async with self._core.database.connection() as c:
            left = await operations.list_open_operations(c, "host")
        for operation in left:
            if operation.action == ACTION and operation.id not in self._background:
                await self._settle(operation, "failed", "interrupted", _interrupted(operation))

    async def close(self) -> None:
        """Stop carrying; open deployments are settled by the next server."""
        await self._background.close()

    async def _begin(self, tx: Transaction, host: Host, plan: Plan, operation_id: str) -> Operation:
        steps = PLANS[plan.mode]
        parameters = {
            "mode": plan.mode,
            "target": plan.target,
            "user": host.host_user,
            "ssh_port": plan.ssh_port,
            "force": plan.force,
        }
        settings = self._core.settings.deployment
        seconds = sum(float(getattr(settings, step.limit)) for step in steps)
        subject = ("host", host.id, host.name)
        before = await tx.snapshot("host", host.id)
        operation = await operations.insert_operation(
            tx, subject, ACTION, parameters, seconds, operation_id=operation_id
        )
        await deployments.note_progress(tx, operation.id, _report(plan).show())
        await deployments.begin_deployment(tx, host.id)
        message = f"{plan.target} is being deployed to host {host.name}"
        tx.record(Event(ACTION, "operation", operation.id, host.name, message))
        tx.record(Event(ACTION, "host", host.id, host.name, message, before=before))
        return operation

    async def _carry(self, operation: Operation, host: Host, plan: Plan) -> None:
        report = _report(plan)
        run = Run(self._core, host, plan, report, self._ask_node, contextlib.AsyncExitStack())
        work = asyncio.create_task(perform(run, PLANS[plan.mode]))
        self._work[operation.id] = (work, report)
        try:
            written = 0
            while not work.done():
                await asyncio.wait({work}, timeout=WRITE_SECONDS)
                if report.version != written:
                    written = await self._note(operation, report, written)
        finally:
            del self._work[operation.id]
            await end(work)
        status, outcome, reason = _ended(work, report)
        await self._settle(operation, status, outcome, reason, report)

    async def _note(self, operation: Operation, report: Report, written: int) -> int:
        """Write how far it has come, and return the version that is written; without a database, later."""
        version = report.version
        try:
            async with self._core.database.transaction() as tx:
                if changed := await deployments.note_progress(tx, operation.id, report.show()):
                    step = f": {report.step.name}" if report.step else ""
                    message = f"deploy of {operation.subject_name}{step}"
                    before = changed.before
                    tx.record(
                        Event(ACTION, "operation", operation.id, operation.subject_name, message, before)
                    )
        except DatabaseUnavailable as error:
            log.warning("the progress of deploy %s is not written: %s", operation.id, error)
            return written
        return version

    async def _settle(
        self,
        operation: Operation,
        status: str,
        outcome: str,
        reason: str | None,
        report: Report | None = None,
    ) -> None:
        """Write the end, however long the database is away."""
        while True:
            try:
                self._core.lease.require()
                await self._write_end(operation, status, outcome, reason, report)
            except DatabaseUnavailable as error:
                log.warning("the end of deploy %s waits: %s", operation.id, error)
                await asyncio.sleep(RETRY_SECONDS)
            except NotActive as error:
                log.warning("the end of deploy %s is left to the active server: %s", operation.id, error)
                return
            else:
                return

    async def _write_end(
        self, operation: Operation, status: str, outcome: str, reason: str | None, report: Report | None
    ) -> None:
        async with self._core.database.transaction() as tx:
            host = await hosts.lock_host(tx, operation.subject_id)
            if (await operations.get_operation(tx, operation.id)).status != "running":
                return
            before = await tx.snapshot("host", host.id)
            if status == "succeeded" and not await deployments.finish_deployment(tx, host.id):
                status, outcome = "failed", "failed"
                reason = f"its node went away again: {host.status_reason or 'it does not answer'}"
            if status == "failed":
                await deployments.fail_deployment(tx, host.id, f"deploy: {reason}")
            elif status == "cancelled":
                await deployments.undo_deployment(tx, host.id)
            if report is not None:
                await deployments.note_progress(tx, operation.id, report.show())
            settled = await operations.settle_operation(tx, operation.id, status, outcome, reason)
            if settled is not None:
                history.record_operation(tx, settled)
                message = f"deploy of {host.name} {status}: {reason}"
                tx.record(Event(ACTION, "host", host.id, host.name, message, before=before))

    async def _cancel(self, operation: Operation) -> None:
        """End the work on a deployment whose cancellation was asked for, and wait until that is settled."""
        if operation.id in self._work:
            work, report = self._work[operation.id]
            if not report.cancellable:
                raise not_cancellable(operation, report.step.name if report.step else "its end")
            work.cancel()
        await self._background.wait(operation.id)


def not_cancellable(operation: Operation, step: str) -> Conflict:
    """What a cancel is told that comes too late."""
    return Conflict(
        f"deploy of {operation.subject_name} has come to {step} and cannot be taken back: wait for its end; "
        "to go back, deploy the former version",
        code="not_cancellable",
    )


async def require_idle(tx: Transaction, host_id: str) -> None:
    """Raise Busy, with the operation in the way, while a host is deployed to."""
    running = await operations.get_running_operation(tx, "host", host_id)
    if running is not None:
        raise settling.busy(running)


async def _check_vms(tx: Transaction, host: Host, plan: Plan) -> None:
    if plan.mode != "bootc" or plan.force:
        return
    if running := await deployments.list_running_vms(tx, host.id):
        raise Conflict(
            f"a bootc deployment reboots {host.name}, and VMs run there ({named(running)}): stop them, or "
            "deploy with force, which ends them",
            code="vms_running",
        )


def _report(plan: Plan) -> Report:
    return Report.of(plan.mode, plan.target, [step.name for step in PLANS[plan.mode]])


def _ended(work: asyncio.Task[None], report: Report) -> tuple[str, str, str | None]:
    """Status, outcome and reason of a deployment whose work is over."""
    if work.cancelled():
        return "cancelled", "cancelled", "cancelled before anything that runs was touched"
    error = work.exception()
    if error is None:
        steps = [each for each in report.steps if each.status == "done"]
        return "succeeded", "deployed", report.target if steps else f"{report.target}: nothing had to change"
    if isinstance(error, StepError):
        return "failed", "failed", error.sentence
    if isinstance(error, QaraxError):
        return "failed", "failed", error.message
    log.error("a deployment ended in an error", exc_info=error)
    return "failed", "failed", "the server made an error; its log says more"


def _interrupted(operation: Operation) -> str:
    step = (operation.progress or {}).get("step") or "its beginning"
    return (
        f"{step}: the server was stopped during this step, and what the step did is not known; deploy again, "
        "what is in place already stays as it is"
    )
