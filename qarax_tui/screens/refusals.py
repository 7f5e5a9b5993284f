"""Why an action does not fit what is under the cursor, as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_tui.screens.table_view import TableView

if TYPE_CHECKING:
    from qarax_tui.keys import Action
    from qarax_tui.screens.view import View


def wrong_target(action: Action, view: View) -> str:
    """Empty when there is a target and its status allows the action; of several, one that fits is enough."""
    if not _has_target(action, view):
        what = "no VM" if action.target == "vm" else "nothing"
        return f"{action.label}: {what} is under the cursor."
    if action.target != "vm" or action.statuses is None:
        return ""
    vms = view.vms()
    wrong = [vm for vm in vms if vm.status not in action.statuses]
    if len(wrong) < len(vms):
        return ""
    allowed = " or ".join(sorted(action.statuses))
    return f"{wrong[0].name} is {wrong[0].status}: {action.label.lower()} needs it to be {allowed}."


def _has_target(action: Action, view: View) -> bool:
    if action.target == "one":
        return view.subject() is not None
    if action.target == "row":
        return not isinstance(view, TableView) or bool(view.targets())
    return action.target != "vm" or bool(view.vms())
