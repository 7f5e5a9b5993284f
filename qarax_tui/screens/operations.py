"""Operations: what runs and what ran, who asked, how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qarax_tui.client.records import Operation
from qarax_tui.messages import Reveal
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.format import bar, duration, moment, took
from qarax_tui.screens.jobs import Job, left_out
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell, status_cell

if TYPE_CHECKING:
    from qarax_tui.client.api import Api

_AGAIN: Mapping[str, Callable[[Api, str], Awaitable[object]]] = {
    "start": lambda api, vm_id: api.start_vm(vm_id),
    "stop": lambda api, vm_id: api.stop_vm(vm_id),
    "pause": lambda api, vm_id: api.pause_vm(vm_id),
    "resume": lambda api, vm_id: api.resume_vm(vm_id),
    "reboot": lambda api, vm_id: api.reboot_vm(vm_id),
}
_NOT_AGAIN = "it runs, its VM is gone, or it is nothing that can be done again"
_ASKED_AGAIN = {"stop", "reboot"}


class OperationsView(TableView[Operation]):
    """Newest first."""

    view_id = "operations"
    noun = "operation"
    enter = "jump"
    singular = "operation"
    first_sort = ("started", True)
    empty = "Nothing has been done yet. Every start, stop and transfer will be listed here."

    def trail(self) -> tuple[str, ...]:
        return ("Operations",)

    def rows(self) -> Mapping[str, Operation]:
        return self.fleet.operations

    def columns(self) -> Sequence[Column]:
        return (
            Column("started", "Started", lambda row: moment(row.started_at, self.session.now()), width=11),
            Column("action", "Action", lambda row: row.action, width=11),
            Column("subject", "Subject", _subject, width=13, grow=1),
            Column("status", "Status", self._status, width=13),
            Column("took", "Took", self._took, width=9, align="right", priority=2),
            Column("actor", "Actor", lambda row: row.actor or "–", width=10, priority=3),
            Column("reason", "How it ended", lambda row: row.reason or row.outcome, width=30, grow=6),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "started": lambda row: row.started_at or 0.0,
            "action": lambda row: (row.action, row.started_at or 0.0),
            "subject": lambda row: (_subject(row).lower(), row.started_at or 0.0),
            "status": lambda row: (row.status, row.started_at or 0.0),
            "actor": lambda row: (row.actor, row.started_at or 0.0),
        }

    def filter_words(self) -> Sequence[str]:
        return ("status", "action", "subject", "actor")

    def words(self, row: Operation) -> Mapping[str, str]:
        return {
            "action": row.action,
            "subject": _subject(row),
            "status": row.status,
            "actor": row.actor,
            "reason": row.reason,
            "id": row.id,
        }

    def _status(self, row: Operation) -> Cell:
        if not row.running:
            return status_cell(row.status)
        if row.progress is not None:
            return Cell(f"{bar(row.progress, 8)} {row.progress:.0%}", "busy")
        left = row.deadline_at
        return Cell(f"◌ {duration(left - self.session.now())} left" if left else "◌ running", "busy")

    def _took(self, row: Operation) -> str:
        if row.started_at is None:
            return "–"
        if row.running:
            return duration(self.session.now() - row.started_at)
        return "–" if row.ended_at is None else took(row.ended_at - row.started_at)

    def tick(self) -> None:
        running = frozenset(row.id for row in self.fleet.operations.values() if row.running)
        if running:
            self.table.update_rows(running)

    # --- actions -----------------------------------------------------------------------------------------

    def do_jump(self) -> None:
        row = self.current()
        if row is not None:
            self.post_message(Reveal(row.subject_type, row.subject_id))

    def cannot(self, action_id: str) -> str:
        if action_id == "cancel" and not self._those_running():
            return "Cancel: put the cursor on an operation that runs."
        if action_id == "retry" and not self._repeatable():
            return "Retry: only what has ended, and was done to a VM that is still there, can be done again."
        return ""

    def _those_running(self) -> list[Operation]:
        return [row for row in self.targets() if row.running]

    def _repeatable(self) -> list[Operation]:
        vms = self.fleet.vms
        return [
            row
            for row in self.targets()
            if row.action in _AGAIN and row.subject_id in vms and not row.running
        ]

    def do_cancel(self) -> None:
        running = self._those_running()
        what = (
            f"{running[0].action} of {_subject(running[0])}"
            if len(running) == 1
            else f"{len(running)} operations"
        )
        lines = ("What has already happened stays as it is.",)

        jobs = [Job(_label(row), self._cancel(row.id)) for row in running]
        jobs += [left_out(_label(row), "it has ended") for row in self.targets() if not row.running]

        def cancel() -> None:
            self.main.run_jobs(f"Cancel {what}", jobs)

        self.confirm(Question(f"Cancel {what}?", lines, "Cancel it", no="Leave it"), cancel)

    def _cancel(self, operation_id: str) -> Callable[[], Awaitable[object]]:
        return lambda: self.session.api.cancel_operation(operation_id)

    def do_retry(self) -> None:
        rows, api = self._repeatable(), self.session.api
        named = f"{rows[0].action} of {_subject(rows[0])}" if len(rows) == 1 else f"{len(rows)} operations"
        jobs = [Job(_label(row), partial(_AGAIN[row.action], api, row.subject_id)) for row in rows]
        jobs += [left_out(_label(row), _NOT_AGAIN) for row in self.targets() if row not in rows]

        def retry() -> None:
            self.main.run_jobs(f"Retry {named}", jobs)

        if any(row.action in _ASKED_AGAIN for row in rows):
            lines = ("What runs in the guest is interrupted.",)
            self.confirm(Question(f"Retry {named}?", lines, "Retry"), retry)
        else:
            retry()


def _label(row: Operation) -> str:
    return f"{row.action} {_subject(row)}"


def _subject(row: Operation) -> str:
    return row.subject_name or f"{row.subject_type} {row.subject_id[:8]}"
