"""What a view is looking at: the noun and the record under the cursor, or the VM it was opened for."""

from __future__ import annotations

from typing import Any

from qarax_tui.client.records import Noun
from qarax_tui.screens.host import HostView
from qarax_tui.screens.table_view import TableView
from qarax_tui.screens.view import View


def subject(view: View) -> tuple[Noun, Any] | None:
    """The noun and the record, or None when there is none."""
    vms = view.vms()
    if vms:
        return "vm", vms[0]
    if isinstance(view, HostView):
        hosts = view.hosts()
        return ("host", hosts[0]) if hosts else None
    if isinstance(view, TableView):
        record = view.current()
        if record is not None:
            return view.noun_of(record), record
    return None
