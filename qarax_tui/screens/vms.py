"""The VMs of the whole fleet: the first view, and the one where most is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qarax_tui.client.records import Vm
from qarax_tui.screens.format import natural, since, size
from qarax_tui.screens.later import later
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.screens.verbs import VmVerbs
from qarax_tui.screens.vm_words import doing, driver_words, stands_in
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell, status_cell

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes


NO_HOST = (
    "No VM yet, and no host is up to run one.\n\n"
    "{hosts} shows the hosts: {register} registers one, {up} takes it up."
)


class VmsView(VmVerbs, TableView[Vm]):
    """`vms` are the marked VMs, else the one under the cursor."""

    view_id = "vms"
    noun = "vm"
    enter = "details"
    singular = "VM"
    empty = "No VM yet.\n\n{create} creates one.  {help} shows all keys."

    def trail(self) -> tuple[str, ...]:
        return ("VMs",)

    def rows(self) -> Mapping[str, Vm]:
        return self.fleet.vms

    def vms(self) -> list[Vm]:
        return self.targets()

    def columns(self) -> Sequence[Column]:
        return (
            Column("name", "Name", lambda vm: vm.name, width=15, grow=2),
            Column("status", "Status", self._status, width=15, grow=1),
            Column("host", "Host", lambda vm: self.host_name(vm.host_id), width=13, grow=1, priority=2),
            Column("driver", "Runs on", self._driver, width=16, priority=3),
            Column("vcpus", "vCPU", lambda vm: str(vm.boot_vcpus), width=4, align="right", priority=1),
            Column("memory", "Memory", lambda vm: size(vm.memory_size), width=8, align="right", priority=1),
            Column("networks", "Networks", _networks, width=16, grow=2, priority=5),
            Column("uptime", "Uptime", self._uptime, width=9, align="right", priority=4),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "name": lambda vm: natural(vm.name),
            "status": lambda vm: (vm.status, natural(vm.name)),
            "host": lambda vm: (self.host_name(vm.host_id), natural(vm.name)),
            "driver": lambda vm: (vm.driver, natural(vm.name)),
            "vcpus": lambda vm: (vm.boot_vcpus, natural(vm.name)),
            "memory": lambda vm: (vm.memory_size, natural(vm.name)),
            "networks": lambda vm: (vm.networks, natural(vm.name)),
            "uptime": lambda vm: (-(vm.started_at or 0.0), natural(vm.name)),
        }

    def filter_words(self) -> Sequence[str]:
        return ("status", "host", "driver", "name", "net")

    def words(self, row: Vm) -> Mapping[str, str]:
        return {
            "name": row.name,
            "status": row.status,
            "host": self.host_name(row.host_id),
            "driver": row.driver,
            "net": " ".join(row.networks),
            "id": row.id,
        }

    def host_name(self, host_id: str) -> str:
        host = self.fleet.hosts.get(host_id)
        return host.name if host else "–"

    def _status(self, vm: Vm) -> Cell:
        if vm.operation is not None and vm.operation.running:
            return Cell(f"◌ {doing(vm.operation, self.session.now())}", "busy")
        return status_cell(vm.status)

    def _driver(self, vm: Vm) -> Cell:
        host = self.fleet.hosts.get(vm.host_id)
        return Cell(driver_words(vm, host), "warn" if stands_in(vm, host) else "dim")

    def _uptime(self, vm: Vm) -> Cell:
        if vm.status not in {"running", "paused"}:
            return Cell("–", "dim")
        return Cell(since(vm.started_at, self.session.now()), "")

    def take(self, changes: Changes) -> None:
        super().take(changes)
        if hosts := changes.changed("host"):
            vms = self.fleet.vms
            self.table.empty = self.empty_text()
            self.table.update_shown(lambda row: row in vms and vms[row].host_id in hosts)

    def tick(self) -> None:
        """Countdowns and uptimes move on; only cells that differ are painted."""
        self.table.update_shown()

    def empty_text(self) -> str:
        up = any(host.status == "up" for host in self.fleet.hosts.values())
        self.empty = VmsView.empty if up else NO_HOST
        return super().empty_text()

    def do_details(self) -> None:
        vm = self.current()
        if vm is not None:
            self.call_later(self.main.push, later("vm:VmView")(vm.id))

    def do_console(self) -> None:
        vm = self.current()
        if vm is not None:
            self.call_later(self.main.push, later("console:ConsolePage")(vm.id))


def _networks(vm: Vm) -> Cell:
    return Cell(" ".join(vm.networks) or "–", "" if vm.networks else "dim")
