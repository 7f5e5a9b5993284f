"""Requests that change something, in the background: one of them, or one per marked row with its result.

A single failure is a toast. Several are a report that stays until it is closed, item by item, with retry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qarax_tui.client.errors import ClientError
from qarax_tui.screens.dialog import Dialog
from qarax_tui.widgets.card import Card, Line

if TYPE_CHECKING:
    from textual.app import ComposeResult

_AT_ONCE = 8
_GLYPHS = {
    "waiting": ("·", "$muted"),
    "running": ("◌", "$warning"),
    "done": ("●", "$success"),
    "failed": ("✖", "$error"),
    "left out": ("–", "$muted"),
}


@dataclass(slots=True)
class Job:
    """One request for one object. `state`: waiting running done failed, or left out: never sent."""

    label: str
    send: Callable[[], Awaitable[object]]
    state: str = "waiting"
    reason: str = ""

    async def run(self) -> None:
        self.reason = ""
        try:
            await self.send()
        except ClientError as error:
            self.state, self.reason = "failed", f"{error.sentence} {error.fix}".strip()
        else:
            self.state = "done"


def left_out(label: str, reason: str) -> Job:
    """For an object that was meant too, and why nothing is sent for it."""

    async def nothing() -> None:
        """Never run."""

    return Job(label, nothing, "left out", reason)


@dataclass(slots=True)
class Batch:
    """Several jobs under one title; at most eight run at once."""

    title: str
    jobs: Sequence[Job]
    changed: Callable[[], object] = field(default=lambda: None)

    async def run(self) -> None:
        """Runs what waits; returns when all have ended."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(job: Job) -> None:
            async with gate:
                job.state = "running"
                self.changed()
                await job.run()
                self.changed()

        async with asyncio.TaskGroup() as group:
            for job in self.jobs:
                if job.state == "waiting":
                    group.create_task(one(job))

    def count(self, state: str) -> int:
        return sum(job.state == state for job in self.jobs)


class Report(Dialog[None]):
    """A batch while it runs and after: closing it does not stop what was sent."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
        Binding("r", "retry", "Retry", show=False),
    ]

    def __init__(self, batch: Batch, again: Callable[[Batch], object]) -> None:
        super().__init__()
        self.shown, self.again = batch, again

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog report") as box:
            box.border_title = Content(self.shown.title)
            yield Static("", id="report-count", classes="dialog-line")
            with VerticalScroll(id="report-items"):
                yield Card(id="report-list")

    def on_mount(self) -> None:
        self.shown.changed = lambda: self.call_later(self.draw)
        self.draw()

    def on_unmount(self) -> None:
        self.shown.changed = lambda: None

    def draw(self) -> None:
        batch = self.shown
        open_jobs = batch.count("waiting") + batch.count("running")
        failed, left = batch.count("failed"), batch.count("left out")
        words = f"{batch.count('done')} of {len(batch.jobs) - left} done"
        words += f", {failed} failed" if failed else ""
        words += f", {left} left out" if left else ""
        self.query_one("#report-count", Static).update(Content(words))
        places = {"failed": 0, "left out": 1}
        told_first = sorted(batch.jobs, key=lambda job: places.get(job.state, 2))
        self.query_one("#report-list", Card).show([_line(job) for job in told_first])
        keys = "r tries the failed ones again · " if failed and not open_jobs else ""
        keys += "esc closes, the work goes on" if open_jobs else "esc closes"
        self.query_one(".report").border_subtitle = Content(keys)

    def action_retry(self) -> None:
        if self.shown.count("failed") and not self.shown.count("running"):
            for job in self.shown.jobs:
                if job.state == "failed":
                    job.state = "waiting"
            self.again(self.shown)
            self.draw()


def _line(job: Job) -> Line:
    glyph, style = _GLYPHS[job.state]
    tail = (f"  {job.reason}", "$muted" if job.state == "left out" else "$error") if job.reason else ("", "")
    return Line(Content.styled(f" {glyph} ", style), Content.assemble(job.label, tail))
