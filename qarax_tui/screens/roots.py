"""The root views by the id of the action that opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qarax_tui.screens.boot_sources import BootSourcesView
from qarax_tui.screens.events import EventsView
from qarax_tui.screens.hosts import HostsView
from qarax_tui.screens.operations import OperationsView
from qarax_tui.screens.pulse import PulseView
from qarax_tui.screens.storage import StorageView
from qarax_tui.screens.view import View
from qarax_tui.screens.vms import VmsView

ROOTS: Final[Mapping[str, Callable[[], View]]] = {
    "vms": VmsView,
    "hosts": HostsView,
    "storage": StorageView,
    "boot_sources": BootSourcesView,
    "operations": OperationsView,
    "events": EventsView,
    "pulse": PulseView,
}
