"""Boot sources: what a VM boots, and which VMs do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qarax_tui.client.records import BootSource
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.format import count, natural
from qarax_tui.screens.jobs import Job
from qarax_tui.screens.storage_forms import new_boot_source
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes


class BootSourcesView(TableView[BootSource]):
    """By name."""

    view_id = "boot_sources"
    noun = "boot_source"
    enter = "whole_row"
    singular = "boot source"
    empty = (
        "No boot source yet.\n\nBring a kernel into a pool ({storage}, then {transfer}), "
        "then {new_boot_source} names it here."
    )

    def prepare(self) -> None:
        self.users = Counter(vm.boot_source_id for vm in self.fleet.vms.values())
        self.counted = True

    def trail(self) -> tuple[str, ...]:
        return ("Boot sources",)

    def rows(self) -> Mapping[str, BootSource]:
        return self.fleet.boot_sources

    def take(self, changes: Changes) -> None:
        self.counted = self.counted and not changes.touches("vm")
        super().take(changes)

    def tick(self) -> None:
        if not self.counted:
            self.prepare()
            self.table.update_shown()

    def catch_up(self) -> None:
        self.prepare()
        super().catch_up()

    def columns(self) -> Sequence[Column]:
        return (
            Column("name", "Name", lambda row: row.name, width=16, grow=2),
            Column("used_by", "Used by", self._used_by, width=10, align="right"),
            Column("kernel", "Kernel", lambda row: self._object(row.kernel_image_id), width=16, grow=1),
            Column(
                "initrd",
                "Initrd",
                lambda row: self._object(row.initrd_image_id),
                width=16,
                grow=1,
                priority=2,
            ),
            Column(
                "command_line", "Command line", lambda row: row.kernel_params, width=24, grow=3, priority=1
            ),
            Column("description", "Description", lambda row: row.description, width=20, grow=2, priority=3),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "name": lambda row: natural(row.name),
            "used_by": lambda row: (self.users[row.id], natural(row.name)),
            "kernel": lambda row: (self._object(row.kernel_image_id), natural(row.name)),
        }

    def filter_words(self) -> Sequence[str]:
        return ("name", "kernel")

    def words(self, row: BootSource) -> Mapping[str, str]:
        return {
            "name": row.name,
            "kernel": self._object(row.kernel_image_id),
            "initrd": self._object(row.initrd_image_id),
            "command_line": row.kernel_params,
            "id": row.id,
        }

    def _object(self, object_id: str) -> str:
        stored = self.fleet.storage_objects.get(object_id)
        return stored.name if stored else (object_id or "–")

    def _used_by(self, row: BootSource) -> Cell:
        users = self.users[row.id]
        return Cell(count(users, "VM") if users else "–", "" if users else "dim")

    def do_new_boot_source(self) -> None:
        self.app.push_screen(new_boot_source(self.session), self._made)

    def _made(self, identifier: str | None) -> None:
        if identifier:
            self.main.arrive("boot_source", identifier)

    def do_delete_boot_source(self) -> None:
        rows = self.targets()
        if not rows:
            self.main.toast("Delete: no boot source is under the cursor.", severity="warning")
            return
        name = rows[0].name if len(rows) == 1 else f"{len(rows)} boot sources"
        lines = ("It is forgotten; its kernel and initrd stay. One that a VM uses is refused.",)

        def delete() -> None:
            self.main.run_jobs(f"Delete {name}", [self._deletion(row) for row in rows])

        typed = "" if len(rows) == 1 else str(len(rows))
        self.confirm(Question(f"Delete {name}?", lines, "Delete", typed), delete)

    def _deletion(self, row: BootSource) -> Job:
        return Job(row.name, lambda: self.session.api.delete_boot_source(row.id))
