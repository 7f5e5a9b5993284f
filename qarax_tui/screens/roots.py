"""The root views by the id of the action that opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qarax_tui.screens.later import later
from qarax_tui.screens.view import View
from qarax_tui.screens.vms import VmsView

ROOTS: Final[Mapping[str, Callable[[], View]]] = {
    "vms": VmsView,
    "hosts": later("hosts:HostsView"),
    "storage": later("storage:StorageView"),
    "boot_sources": later("boot_sources:BootSourcesView"),
    "operations": later("operations:OperationsView"),
    "events": later("events:EventsView"),
    "pulse": later("pulse:PulseView"),
}
