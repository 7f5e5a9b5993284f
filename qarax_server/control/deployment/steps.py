"""A deployment as a row of steps, each with its time limit, and what the steps hand to each other.

A step looks first and acts when there is something to do, so that a deployment that is repeated changes
nothing and one that was cut off is simply asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qarax_server.control.core import Core
from qarax_server.control.deployment.machine import CommandError, Machine
from qarax_server.control.deployment.plan import Plan
from qarax_server.control.deployment.release import Release
from qarax_server.control.deployment.report import Report
from qarax_server.errors import HostAccessError, QaraxError
from qarax_server.models import Host

AskNode = Callable[[str, float], Awaitable[None]]
FAILED_LINES = 12


@dataclass
class Run:
    """One deployment under way. What a step finds out for later ones is a field here."""

    core: Core
    host: Host
    plan: Plan
    report: Report
    ask_node: AskNode
    stack: contextlib.AsyncExitStack
    connected: Machine | None = None
    python: str = ""
    python_version: str = ""
    processor: str = ""
    boot_id: str = ""
    certificate: str = ""
    certificate_is_new: bool = False

    @property
    def machine(self) -> Machine:
        """The machine, once it was logged into."""
        if self.connected is None:
            raise HostAccessError("nobody is logged in")
        return self.connected

    @property
    def release(self) -> Release:
        """What a direct deployment brings."""
        if self.plan.release is None:
            raise HostAccessError("a direct deployment needs a release")
        return self.plan.release


@dataclass(frozen=True)
class Outcome:
    """What a step has to say; `changed` is false when everything was in place already."""

    detail: str
    changed: bool = True


@dataclass(frozen=True)
class Step:
    """A step of a plan. Its limit is one of the `deployment.*_seconds`; a late one cannot be cancelled."""

    name: str
    work: Callable[[Run], Awaitable[Outcome]]
    limit: str = "step_seconds"
    cancellable: bool = True
    remedy: str = ""

    def seconds(self, run: Run) -> float:
        """How long it may take."""
        return float(getattr(run.core.settings.deployment, self.limit))


@dataclass
class StepError(Exception):
    """A step did not do its work; `failure` is what the operation shows."""

    sentence: str
    failure: dict[str, Any] = field(default_factory=dict)


async def perform(run: Run, steps: Sequence[Step]) -> None:
    """Take the steps in turn.

    Raises:
        StepError: one of them failed; what came before it stays.
    """
    async with run.stack:
        for step in steps:
            run.core.lease.require()
            run.report.begin(step.name, cancellable=step.cancellable)
            run.report.say(f"— {step.name}")
            try:
                outcome = await _within(step, run)
            except QaraxError as error:
                raise _failed(run, step, error.message, error) from error
            except asyncio.CancelledError:
                run.report.end(step.name, "cancelled", "")
                raise
            run.report.say(f"  {outcome.detail}" if outcome.changed else f"  unchanged: {outcome.detail}")
            run.report.end(step.name, "done" if outcome.changed else "unchanged", outcome.detail)


async def _within(step: Step, run: Run) -> Outcome:
    seconds = step.seconds(run)
    try:
        async with asyncio.timeout(seconds):
            return await step.work(run)
    except TimeoutError as error:
        last = next((line for line in reversed(run.report.log) if line.startswith("$ ")), "")
        during = f", during `{last[2:]}`" if last else ""
        raise HostAccessError(
            f"it did not end within {seconds:.0f} s (deployment.{step.limit}){during}"
        ) from error


def _failed(run: Run, step: Step, sentence: str, error: QaraxError) -> StepError:
    run.report.say(f"  failed: {sentence}")
    run.report.end(step.name, "failed", sentence)
    failure: dict[str, Any] = {
        "step": step.name,
        "message": sentence,
        "command": None,
        "exit_status": None,
        "output": None,
    }
    remedy = step.remedy
    if isinstance(error, CommandError):
        output = "\n".join(error.ended.output.splitlines()[-FAILED_LINES:])
        failure |= {"command": error.command, "exit_status": error.ended.status, "output": output}
        remedy = error.remedy or remedy
    failure["remedy"] = remedy or "mend it and deploy again: what is in place already stays as it is"
    run.report.failure = failure
    return StepError(f"{step.name}: {sentence}", failure)
