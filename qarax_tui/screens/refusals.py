"""Why an action does not fit what is under the cursor, as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_tui.screens.table_view import TableView

if TYPE_CHECKING:
    from qarax_tui.keys import Action
    from qarax_tui.screens.view import View


def wrong_target(action: Action, view: View) -> str:
    """Empty when there is a target and its status allows the action; of several, one that fits is enough."""
    if (
        action.target == "row"
        and isinstance(view, TableView)
        and view.current() is None
        and not view.targets()
    ):
        return f"{action.label}: nothing is under the cursor."
    if action.target != "vm":
        return ""
    vms = view.vms()
    if not vms:
        return f"{action.label}: no VM is under the cursor."
    if action.statuses is None:
        return ""
    wrong = [vm for vm in vms if vm.status not in (action.statuses or ())]
    if not wrong or len(wrong) < len(vms):
        return ""
    allowed = " or ".join(sorted(action.statuses or ()))
    return f"{wrong[0].name} is {wrong[0].status}: {action.label.lower()} needs it to be {allowed}."
