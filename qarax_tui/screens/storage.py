"""Storage: pools, beneath each its objects and the transfers into it."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from qarax_tui.client.records import Noun, StorageObject, StoragePool, Transfer
from qarax_tui.screens import storage_forms as forms
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.format import bar, count, natural, size
from qarax_tui.screens.jobs import Job, left_out
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell, status_cell

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes

Row: TypeAlias = StoragePool | StorageObject | Transfer


class StorageView(TableView[Row]):
    """Sorted by name it is a tree; by another column it is flat."""

    view_id = "storage"
    noun = "storage_pool"
    enter = "whole_row"
    nouns = ("storage_pool", "storage_object", "transfer")
    empty = (
        "No storage pool yet.\n\n{new_pool} registers a directory as a pool; "
        "{transfer} then brings files into it."
    )

    def prepare(self) -> None:
        fleet = self.fleet
        kinds: list[dict[str, Any]] = [fleet.storage_pools, fleet.storage_objects, fleet.transfers]
        self.all_rows: Mapping[str, Row] = ChainMap(*kinds)
        self._count_users()

    def _count_users(self) -> None:
        fleet = self.fleet
        self.vms_of = Counter(disk for vm in fleet.vms.values() for disk in set(vm.disks))
        self.boots_of = Counter(
            used for one in fleet.boot_sources.values() for used in (one.kernel_image_id, one.initrd_image_id)
        )
        self.counted = True

    def take(self, changes: Changes) -> None:
        self.counted = self.counted and not (changes.touches("vm") or changes.touches("boot_source"))
        super().take(changes)

    def tick(self) -> None:
        if not self.counted:
            self._count_users()
            self.table.update_shown()

    def catch_up(self) -> None:
        self._count_users()
        super().catch_up()

    def trail(self) -> tuple[str, ...]:
        return ("Storage",)

    def rows(self) -> Mapping[str, Row]:
        return self.all_rows

    def noun_of(self, row: Row) -> Noun:
        return "storage_pool" if isinstance(row, StoragePool) else _other_noun(row)

    def columns(self) -> Sequence[Column]:
        return (
            Column("name", "Name", self._indented, width=26, grow=3),
            Column("kind", "Kind", _kind, width=14),
            Column("status", "Status", _status, width=16, grow=1),
            Column("size", "Size", _size, width=10, align="right"),
            Column("used_by", "Used by", self._used_by, width=9, priority=3),
            Column("path", "Path", _path, width=24, grow=3, priority=2),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "name": lambda row: (*self._pool_of(row), _rank(row), natural(row.name)),
            "kind": lambda row: (_kind(row), natural(row.name)),
            "status": lambda row: (getattr(row, "status", ""), natural(row.name)),
            "size": lambda row: (_bytes(row), natural(row.name)),
        }

    def filter_words(self) -> Sequence[str]:
        return ("status", "kind", "pool", "name")

    def words(self, row: Row) -> Mapping[str, str]:
        return {
            "name": row.name,
            "kind": _kind(row),
            "status": getattr(row, "status", ""),
            "pool": self._pool_of(row)[0],
            "path": _path(row),
            "id": row.id,
        }

    def _pool_of(self, row: Row) -> tuple[str, str]:
        pool_id = row.id if isinstance(row, StoragePool) else row.storage_pool_id
        pool = self.fleet.storage_pools.get(pool_id)
        return (pool.name.lower() if pool else "", pool_id)

    def _indented(self, row: Row) -> Cell:
        if isinstance(row, StoragePool):
            return Cell(row.name, "strong")
        indent = "  " if self.sort_column == "name" else ""
        return Cell(f"{indent}{'⇣ ' if isinstance(row, Transfer) else ''}{row.name}")

    def _used_by(self, row: Row) -> Cell:
        if isinstance(row, StoragePool):
            inside = sum(one.storage_pool_id == row.id for one in self.fleet.storage_objects.values())
            return Cell(count(inside, "object"), "dim")
        if isinstance(row, Transfer):
            return Cell("")
        vms, boots = self.vms_of[row.id], self.boots_of[row.id]
        parts = ([count(vms, "VM")] if vms else []) + ([count(boots, "boot")] if boots else [])
        return Cell(", ".join(parts) or "–", "dim")

    def total(self) -> str:
        fleet = self.fleet
        parts = [count(len(fleet.storage_pools), "pool"), count(len(fleet.storage_objects), "object")]
        return " · ".join([*parts, count(len(fleet.transfers), "transfer")][: 3 if fleet.transfers else 2])

    def _current_pool(self) -> str:
        row = self.current()
        if row is None:
            return next(iter(self.fleet.storage_pools), "")
        return row.id if isinstance(row, StoragePool) else row.storage_pool_id

    # --- actions -----------------------------------------------------------------------------------------

    def do_new_pool(self) -> None:
        self.app.push_screen(forms.new_pool(self.session), self._made("storage_pool"))

    def do_add_object(self) -> None:
        if self._needs_pool():
            self.app.push_screen(
                forms.new_object(self.session, self._current_pool()), self._made("storage_object")
            )

    def do_transfer(self) -> None:
        if self._needs_pool():
            self.app.push_screen(
                forms.new_transfer(self.session, self._current_pool()), self._made("transfer")
            )

    def do_new_disk(self) -> None:
        if self._needs_pool():
            self.app.push_screen(
                forms.new_disk(self.session, self._current_pool()), self._made("storage_object")
            )

    def _needs_pool(self) -> bool:
        if not self.fleet.storage_pools:
            self.main.toast(
                self.session.keymap.fill("There is no pool yet: {new_pool} registers one."),
                severity="warning",
            )
        return bool(self.fleet.storage_pools)

    def _made(self, noun: Noun) -> Callable[[str | None], None]:
        def made(identifier: str | None) -> None:
            if identifier:
                self.main.arrive(noun, identifier)

        return made

    def cannot(self, action_id: str) -> str:
        if action_id == "cancel_transfer" and not self._those_running():
            return "Cancel: put the cursor on a transfer that runs."
        if action_id == "remove" and not self._removable():
            return "Delete: put the cursor on a pool or an object."
        return ""

    def _those_running(self) -> list[Transfer]:
        rows = [row for row in self.targets() if isinstance(row, Transfer)]
        return [row for row in rows if row.status in {"pending", "running"}]

    def _removable(self) -> list[StoragePool | StorageObject]:
        return [row for row in self.targets() if not isinstance(row, Transfer)]

    def do_cancel_transfer(self) -> None:
        rows, api = self._those_running(), self.session.api
        what = f"the transfer {rows[0].name}" if len(rows) == 1 else f"{len(rows)} transfers"
        jobs = [Job(row.name, partial(api.cancel_transfer, row.storage_pool_id, row.id)) for row in rows]
        jobs += [left_out(row.name, "no transfer that runs") for row in self.targets() if row not in rows]
        lines = ("What has come so far is thrown away.",)
        question = Question(f"Cancel {what}?", lines, "Cancel it", no="Leave it")
        self.confirm(question, lambda: self.main.run_jobs(f"Cancel {what}", jobs))

    def do_remove(self) -> None:
        rows = self._removable()
        left = [row for row in self.targets() if row not in rows]
        lines = ("It is forgotten here; the files stay where they are. What is in use is refused.",)
        pools = sum(isinstance(row, StoragePool) for row in rows)
        counts = ((pools, "pool"), (len(rows) - pools, "object"))
        several = " and ".join(count(number, what) for number, what in counts if number)
        name = rows[0].name if len(rows) == 1 else several
        typed = "" if len(rows) == 1 else str(len(rows))

        def delete() -> None:
            jobs = [self._removal(row) for row in rows]
            jobs += [left_out(row.name, "a transfer stays as a record") for row in left]
            self.main.run_jobs(f"Delete {name}", jobs)

        self.confirm(Question(f"Delete {name}?", lines, "Delete", typed), delete)

    def _removal(self, row: Row) -> Job:
        api = self.session.api
        remove = api.delete_storage_pool if isinstance(row, StoragePool) else api.delete_storage_object
        return Job(row.name, lambda: remove(row.id))


def _other_noun(row: Row) -> Noun:
    return "transfer" if isinstance(row, Transfer) else "storage_object"


def _rank(row: Row) -> int:
    return 0 if isinstance(row, StoragePool) else 1 if isinstance(row, Transfer) else 2


def _kind(row: Row) -> str:
    if isinstance(row, StoragePool):
        return f"{row.pool_type} pool"
    return row.transfer_type.replace("_", " ") if isinstance(row, Transfer) else row.object_type


def _status(row: Row) -> Cell:
    if isinstance(row, StorageObject):
        return Cell("")
    if isinstance(row, Transfer) and row.status in {"pending", "running"}:
        done = row.fraction
        return Cell(
            f"{bar(done, 8)} {done:>4.0%}" if done is not None else size(row.transferred_bytes), "busy"
        )
    cell = status_cell(row.status)
    why = row.error_message if isinstance(row, Transfer) else row.status_reason
    return Cell(f"{cell.text} · {why}" if why else cell.text, cell[1])


def _bytes(row: Row) -> int:
    if isinstance(row, StoragePool):
        return row.capacity_bytes or 0
    return (row.total_bytes or row.transferred_bytes) if isinstance(row, Transfer) else row.size_bytes


def _size(row: Row) -> str:
    return size(_bytes(row) or None)


def _path(row: Row) -> str:
    return row.source if isinstance(row, Transfer) else row.path
