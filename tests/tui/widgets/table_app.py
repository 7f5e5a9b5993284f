"""An app that is only a table of machines, and what its screen shows."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import App, ComposeResult

from qarax_tui.widgets.fleet_table import Cell, Column, FleetTable
from qarax_tui.widgets.row_painter import CURSOR_SIGN


@dataclass(frozen=True)
class Machine:
    id: str
    name: str
    status: str = "running"
    host: str = "alpha"


COLUMNS = (
    Column("name", "Name", lambda vm: vm.name, width=16, grow=1),
    Column("status", "Status", lambda vm: Cell(f"● {vm.status}", "good"), width=12),
    Column("host", "Host", lambda vm: vm.host, width=12, priority=1),
    Column("note", "Note", lambda _: "n", width=20, priority=2, sortable=False),
)


class TableApp(App[None]):
    def __init__(self, count: int = 0) -> None:
        super().__init__()
        self.machines = {f"id-{n:05}": Machine(f"id-{n:05}", f"vm-{n:05}") for n in range(count)}
        self.table = FleetTable(COLUMNS, id="vms")
        self.said: list[tuple[str, object]] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()
        self.show()

    def show(self, ids: list[str] | None = None) -> None:
        self.table.set_rows(list(self.machines) if ids is None else ids, self.machines.get)

    @on(FleetTable.Highlighted)
    def _highlighted(self, event: FleetTable.Highlighted) -> None:
        self.said.append(("highlighted", event.row_id))

    @on(FleetTable.Activated)
    def _activated(self, event: FleetTable.Activated) -> None:
        self.said.append(("activated", event.row_id))

    @on(FleetTable.SortRequested)
    def _sort(self, event: FleetTable.SortRequested) -> None:
        self.said.append(("sort", event.column_key))


def screen_lines(app: App[None]) -> list[str]:
    """What the screen shows, line by line."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def cursor_line(app: App[None]) -> str:
    found = [line for line in screen_lines(app) if line.startswith(CURSOR_SIGN)]
    assert len(found) <= 1
    return found[0] if found else ""
