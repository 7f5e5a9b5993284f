"""Orphans: VMs that a node has and the control plane does not know. Nothing is done to them unasked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from qarax_tui.client.records import Orphan
from qarax_tui.screens import rules
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.form import Field, Form
from qarax_tui.screens.format import moment, natural
from qarax_tui.screens.jobs import Job
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell, status_cell

Send = Callable[[str, str], Awaitable[object]]


class OrphansView(TableView[Orphan]):
    """Those to decide about, and those that were left as they are."""

    view_id = "orphans"
    noun = "orphan"
    enter = "whole_row"
    singular = "orphan"
    empty = "No orphan: the control plane knows every VM of every node."

    def trail(self) -> tuple[str, ...]:
        return ("Orphans",)

    def rows(self) -> Mapping[str, Orphan]:
        return self.fleet.orphans

    def columns(self) -> Sequence[Column]:
        return (
            Column("name", "Name", lambda row: row.name, width=18, grow=2),
            Column("status", "Status", lambda row: status_cell(row.status), width=14),
            Column("host", "Host", self._host, width=14, grow=1),
            Column("ignored", "Decided", _decided, width=12),
            Column("seen", "First seen", self._seen, width=12, priority=2),
            Column("id", "Id", lambda row: Cell(row.id, "dim"), width=36, priority=3),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "name": lambda row: natural(row.name),
            "status": lambda row: (row.status, natural(row.name)),
            "host": lambda row: (self._host(row), natural(row.name)),
            "seen": lambda row: row.first_seen_at or 0.0,
        }

    def filter_words(self) -> Sequence[str]:
        return ("status", "host", "name")

    def words(self, row: Orphan) -> Mapping[str, str]:
        return {"name": row.name, "status": row.status, "host": self._host(row), "id": row.id}

    def _host(self, row: Orphan) -> str:
        host = self.fleet.hosts.get(row.host_id)
        return host.name if host else "–"

    def _seen(self, row: Orphan) -> Cell:
        return Cell(moment(row.first_seen_at, self.session.now()), "dim")

    def do_adopt(self) -> None:
        rows = self.targets()
        if len(rows) == 1 and any(vm.name == rows[0].name for vm in self.fleet.vms.values()):
            self.app.push_screen(self._adopt_form(rows[0]))
        else:
            self._run("Adopt", self.session.api.adopt_orphan, rows)

    def _adopt_form(self, row: Orphan) -> Form:
        """For one whose name another VM has."""
        taken = f"{row.name} is the name of a VM: choose another"
        fields = (Field("name", "Name", rules.name, row.name, hint=taken),)

        async def submit(values: dict[str, Any]) -> bool:
            await self.session.api.adopt_orphan(row.host_id, row.id, name=values["name"])
            return True

        return Form(f"Adopt {row.name} as", fields, "Adopt", submit)

    def do_ignore(self) -> None:
        self._run("Ignore", self.session.api.ignore_orphan, self.targets())

    def do_delete_orphan(self) -> None:
        rows = self.targets()
        lines = ("It is ended at once and deleted from its node; what it has not written is lost.",)
        typed = rows[0].name if len(rows) == 1 else str(len(rows))

        def delete() -> None:
            present = [row for row in rows if row.id in self.fleet.orphans]
            self._run("Delete", self.session.api.delete_orphan, present)

        self.confirm(Question(f"Delete {_named(rows)}?", lines, "Delete", typed), delete)

    def _run(self, title: str, send: Send, rows: Sequence[Orphan]) -> None:
        if rows:
            jobs = [Job(row.name, partial(send, row.host_id, row.id)) for row in rows]
            self.main.run_jobs(f"{title} {_named(rows)}", jobs)


def _named(rows: Sequence[Orphan]) -> str:
    return rows[0].name if len(rows) == 1 else f"{len(rows)} orphans"


def _decided(row: Orphan) -> Cell:
    return Cell("ignored", "dim") if row.ignored else Cell("open", "warn")
