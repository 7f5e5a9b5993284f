"""Pulse: counts by status, the hosts' load, operations per minute, the last failures. Enter jumps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qarax_tui.messages import Reveal
from qarax_tui.screens.format import bar, moment, size, sparkline
from qarax_tui.screens.view import View
from qarax_tui.screens.vm_sections import tone
from qarax_tui.widgets.cells import fit
from qarax_tui.widgets.status import status_text

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from qarax_tui.client.changes import Changes

_STATUSES = ("running", "paused", "created", "shutdown", "unknown")
_HOSTS_SHOWN = (3, 12)
_OTHER_LINES = 16
"""What stands above and below the hosts, two failures included."""
_FAILURES_SHOWN = 8
_MINUTES = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One line: where Enter goes as `view filter` or `=type id`; empty for a line that is only read."""

    target: str
    text: Content


class PulseView(View):
    """Drawn anew at most once a second."""

    view_id = "pulse"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.stale = True

    def compose(self) -> ComposeResult:
        yield OptionList(id="pulse-list", compact=True)

    def on_mount(self) -> None:
        self.draw()

    def trail(self) -> tuple[str, ...]:
        return ("Pulse",)

    def focus_inside(self) -> None:
        self.query_one(OptionList).focus()

    def take(self, changes: Changes) -> None:
        del changes
        self.stale = True

    def tick(self) -> None:
        if self.stale:
            self.draw()

    def on_show(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        self.stale = False
        lines = list(self._lines())
        if lines == self.lines:
            return
        options = self.query_one(OptionList)
        under_cursor = self._target()
        self.lines = lines
        options.clear_options()
        options.add_options([Option(line.text, disabled=not line.target) for line in lines])
        targets = [line.target for line in lines]
        first = next((target for target in targets if target), "")
        options.highlighted = targets.index(under_cursor if under_cursor in targets else first)

    def _target(self) -> str:
        """Where Enter goes: what the line under the cursor is about, however the lines move."""
        place = self.query_one(OptionList).highlighted
        return self.lines[place].target if place is not None and place < len(self.lines) else ""

    # --- lines -------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[Line]:
        for place, part in enumerate((self._vms, self._hosts, self._operations, self._failures)):
            if place:
                yield Line("", Content(""))
            yield from part()

    def _vms(self) -> Iterator[Line]:
        counts = Counter(vm.status for vm in self.fleet.vms.values())
        total = max(1, len(self.fleet.vms))
        yield _title("Virtual machines")
        for status in _STATUSES:
            number = counts[status]
            text = Content.assemble(
                (f" {status_text(status):<14}", tone(status) if number else "$muted"),
                (f"{number:>7,}  ", "bold" if number else "$muted"),
                (bar(number / total, 24), tone(status) if number else "$secondary"),
            )
            yield Line(f"vms status={status}", text)

    def _hosts(self) -> Iterator[Line]:
        yield _title("Hosts by memory used")
        hosts = [host for host in self.fleet.hosts.values() if host.memory_bytes]
        hosts.sort(key=lambda host: host.allocated_memory_bytes / host.memory_bytes, reverse=True)
        least, most = _HOSTS_SHOWN
        for host in hosts[: max(least, min(most, self.size.height - _OTHER_LINES))]:
            share = host.allocated_memory_bytes / host.memory_bytes
            text = Content.assemble(
                f" {fit(host.name, 20)} ",
                (bar(share, 24), "$warning" if share > 0.9 else "$primary"),  # noqa: PLR2004 - nearly full
                f" {share:>4.0%}",
                (f" of {size(host.memory_bytes)}   {host.allocated_vcpus} of {host.cpus} CPUs", "$muted"),
            )
            yield Line(f"vms host={host.name}$", text)
        if not hosts:
            yield Line(
                "hosts ", Content.styled(" No host has reported its size; enter shows the hosts.", "$muted")
            )

    def _operations(self) -> Iterator[Line]:
        now = self.session.now()
        minutes = [0.0] * _MINUTES
        for one in self.fleet.operations.values():
            if one.started_at is not None and 0 <= now - one.started_at < _MINUTES * 60:
                minutes[_MINUTES - 1 - int((now - one.started_at) // 60)] += 1
        running = sum(one.running for one in self.fleet.operations.values())
        yield _title("Operations per minute")
        text = Content.assemble(
            " ",
            (sparkline(minutes, _MINUTES), "$accent"),
            f"  {minutes[-1]:.0f} in the last minute, {running} running",
        )
        yield Line("operations ", text)

    def _failures(self) -> Iterator[Line]:
        failed = [one for one in self.fleet.operations.values() if one.status == "failed"]
        failed.sort(key=lambda one: one.ended_at or one.started_at or 0.0, reverse=True)
        yield _title("Last failures")
        for one in failed[:_FAILURES_SHOWN]:
            text = Content.assemble(
                (f" {moment(one.ended_at or one.started_at, self.session.now())}  ", "$muted"),
                (f"{one.action} {one.subject_name}", "bold"),
                (f"  {one.reason or one.outcome}", "$error"),
            )
            yield Line(f"={one.subject_type} {one.subject_id}", text)
        if not failed:
            yield Line("", Content.styled(" None.", "$muted"))

    # --- actions -----------------------------------------------------------------------------------------

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self.do_jump()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self.announce()

    def do_jump(self) -> None:
        word, _, rest = self._target().partition(" ")
        if not word:
            return
        if word.startswith("="):
            self.post_message(Reveal(word[1:], rest))
        else:
            self.main.go_filtered(word, rest)


def _title(text: str) -> Line:
    return Line("", Content.styled(text, "bold $primary"))
