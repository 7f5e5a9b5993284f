"""The hosts: who is up, why not, and how full each is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qarax_tui.client.records import Host
from qarax_tui.screens import host_forms
from qarax_tui.screens.format import bar, natural, since, size
from qarax_tui.screens.host import HostView
from qarax_tui.screens.host_verbs import HostVerbs
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell, status_cell

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes

_FULL = 0.9


class HostsView(HostVerbs, TableView[Host]):
    """`hosts` are the marked ones, else the one under the cursor."""

    view_id = "hosts"
    noun = "host"
    enter = "host_details"
    singular = "host"
    empty = "No host yet.\n\n{register} registers one by its address; {up} then takes it up."

    def __init__(self) -> None:
        self.vm_counts: Counter[str] = Counter()
        self.counted = False
        super().__init__()

    def prepare(self) -> None:
        self._count_vms()

    def trail(self) -> tuple[str, ...]:
        return ("Hosts",)

    def rows(self) -> Mapping[str, Host]:
        return self.fleet.hosts

    def columns(self) -> Sequence[Column]:
        return (
            Column("name", "Name", lambda host: host.name, width=14, grow=1),
            Column(
                "address", "Address", lambda host: f"{host.address}:{host.port}", width=16, grow=1, priority=4
            ),
            Column("status", "Status", _status, width=18, grow=10),
            Column("vms", "VMs", self._vms, width=4, align="right", priority=1),
            Column("cpus", "CPUs used", _cpus, width=9, align="right", priority=2),
            Column("memory", "Memory used", _memory, width=20, priority=2),
            Column("drivers", "Runs", _drivers, width=16, grow=1, priority=3),
            Column("versions", "Versions", _versions, width=18, grow=1, priority=6),
            Column("seen", "Seen", self._seen, width=9, align="right", priority=5),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "name": lambda host: natural(host.name),
            "address": lambda host: (host.address, host.port),
            "status": lambda host: (host.status, natural(host.name)),
            "vms": lambda host: (self.vm_counts[host.id], natural(host.name)),
            "cpus": lambda host: (host.allocated_vcpus, natural(host.name)),
            "memory": lambda host: (host.allocated_memory_bytes, natural(host.name)),
            "seen": lambda host: (
                -math.inf if host.answers else -(host.last_seen_at or 0.0),
                natural(host.name),
            ),
        }

    def filter_words(self) -> Sequence[str]:
        return ("status", "name", "address", "driver")

    def words(self, row: Host) -> Mapping[str, str]:
        return {
            "name": row.name,
            "address": f"{row.address}:{row.port}",
            "status": row.status,
            "reason": row.status_reason,
            "driver": " ".join(row.drivers),
            "id": row.id,
        }

    def take(self, changes: Changes) -> None:
        self.counted = self.counted and not changes.touches("vm")
        super().take(changes)

    def catch_up(self) -> None:
        self._count_vms()
        super().catch_up()

    def _count_vms(self) -> None:
        self.vm_counts = Counter(vm.host_id for vm in self.fleet.vms.values())
        self.counted = True

    def _vms(self, host: Host) -> str:
        return str(self.vm_counts[host.id])

    def _seen(self, host: Host) -> Cell:
        return Cell("now" if host.answers else since(host.last_seen_at, self.session.now()), "dim")

    def tick(self) -> None:
        if not self.counted:
            self._count_vms()
        self.table.update_shown()

    def hosts(self) -> list[Host]:
        return self.targets()

    def do_host_details(self) -> None:
        host = self.current()
        if host is not None:
            self.show_host(host.id)

    def show_host(self, host_id: str) -> None:
        self.call_later(self.main.push, HostView(host_id))

    def do_register(self) -> None:
        self.app.push_screen(host_forms.register(self.session), self._registered)

    def _registered(self, host_id: str | None) -> None:
        if host_id:
            self.main.toast(self.session.keymap.fill("Registered. It is down until {up} takes it up."))
            self.main.arrive("host", host_id)


def _status(host: Host) -> Cell:
    cell = status_cell(host.status)
    return Cell(f"{cell.text} · {host.status_reason}", cell.tone) if host.status_reason else cell


def _cpus(host: Host) -> str:
    return f"{host.allocated_vcpus} / {host.cpus}" if host.cpus else "–"


def _memory(host: Host) -> Cell:
    if not host.memory_bytes:
        return Cell("–", "dim")
    share = host.allocated_memory_bytes / host.memory_bytes
    text = f"{bar(share, 6)} {share:>4.0%} {size(host.memory_bytes)}"
    return Cell(text, "warn" if share > _FULL else "")


def _drivers(host: Host) -> Cell:
    names = ", ".join(name.replace("_", " ") for name in host.drivers)
    return Cell(names or "–", "" if names else "dim")


def _versions(host: Host) -> Cell:
    return Cell(", ".join(host.versions) or "–", "dim")
