"""A host's newest deployment as a card: its steps as they go, what failed and what to do, the log's end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from qarax_tui.screens.vm_sections import Lines
from qarax_tui.widgets.card import Line, labelled, plain, titled

if TYPE_CHECKING:
    from qarax_tui.client.fleet import Fleet

ACTION = "deploy"
_LOG_LINES = 14
_NAME_WIDTH = 13
_SIGNS: Mapping[str, tuple[str, str]] = {
    "waiting": ("·", "$muted"),
    "running": ("◌", "$accent"),
    "done": ("●", "$success"),
    "unchanged": ("○", "$success"),
    "failed": ("✖", "$error"),
    "cancelled": ("✖", "$warning"),
}


def newest(host_id: str, fleet: Fleet) -> str | None:
    """The id of a host's newest deployment."""
    mine = [row for row in fleet.operations.values() if row.subject_id == host_id and row.action == ACTION]
    return max(mine, key=lambda row: row.started_at or 0.0).id if mine else None


def deployment(body: Mapping[str, Any]) -> Lines:
    """Everything of an operation that is a deployment; `body` as its GET answers it."""
    progress = body.get("progress")
    if not isinstance(progress, Mapping):
        return ()
    rows = [row for row in progress.get("steps") or () if isinstance(row, Mapping)]
    ended = body.get("status") != "running"
    lines = [labelled(f"{progress.get('mode') or ''}", f"{progress.get('target') or ''}")]
    if ended:
        lines.append(labelled("Ended", f"{body.get('status')}: {body.get('reason') or ''}"))
    lines += [_step(row) for row in rows]
    failure = progress.get("failure")
    lines += _failure(failure) if isinstance(failure, Mapping) else []
    if not ended or failure:
        log = [str(line) for line in progress.get("log") or ()]
        lines += [plain("Log", "bold"), *(plain(line, "$muted") for line in log[-_LOG_LINES:])]
    return titled("Deployment", lines)


def _step(row: Mapping[str, Any]) -> Line:
    sign, style = _SIGNS.get(str(row.get("status")), ("?", ""))
    name = str(row.get("name") or "")
    head = Content.assemble((f"{sign} ", style), f"{name:<{_NAME_WIDTH}}")
    seconds = row.get("seconds")
    took = f"{seconds:.1f} s  " if isinstance(seconds, int | float) else ""
    words = str(row.get("detail") or "") if row.get("status") != "failed" else "failed"
    return Line(head, Content.assemble(took, (words, "$muted" if row.get("status") != "failed" else style)))


def _failure(failure: Mapping[str, Any]) -> list[Line]:
    """The step, its command and its output, and what to do."""
    lines = [labelled("Failed at", f"{failure.get('step')}: {failure.get('message')}", "$error")]
    if failure.get("command"):
        status = failure.get("exit_status")
        lines.append(labelled("Command", f"{failure['command']}  (status {status})"))
        lines += [labelled("Output", line) for line in str(failure.get("output") or "").splitlines()]
    lines.append(labelled("To do", str(failure.get("remedy") or ""), "$warning"))
    return lines
