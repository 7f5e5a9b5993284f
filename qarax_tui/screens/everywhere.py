"""The actions that work in every view, and the way to any object from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from qarax_tui.keys import ROOT_VIEWS
from qarax_tui.screens.later import later
from qarax_tui.screens.table_view import TableView

if TYPE_CHECKING:
    from qarax_tui.screens.main import MainScreen

Handler = Callable[["MainScreen"], None]

VIEW_OF: Final[Mapping[str, str]] = {
    "vm": "vms",
    "host": "hosts",
    "storage_pool": "storage",
    "storage_object": "storage",
    "transfer": "storage",
    "boot_source": "boot_sources",
    "operation": "operations",
}


def _go(view_id: str, main: MainScreen) -> None:
    main.call_later(main.show_root, view_id)


def _back(main: MainScreen) -> None:
    if main.view.step_back():
        return
    main.call_later(main.pop)


def _leave(main: MainScreen) -> None:
    if len(main.stack) > 1:
        main.call_later(main.pop)
    else:
        main.qarax.leave()


def _read_only(main: MainScreen) -> None:
    api = main.session.api
    api.read_only = not api.read_only
    main.toast(
        "Read-only: nothing here can change anything." if api.read_only else "Changes are possible again."
    )
    main.draw()


def _help(main: MainScreen) -> None:
    main.app.push_screen(later("help:Help")(main.view.view_id, main.session))


def _open_once(view_id: str, view: str, main: MainScreen) -> None:
    if main.view.view_id != view_id:
        main.call_later(main.push, later(view)())


async def reveal(main: MainScreen, subject_type: str, subject_id: str) -> None:
    """Show an object: the details of a VM, else its row in its list."""
    if subject_type == "vm" and subject_id in main.session.fleet.vms:
        await main.show_root("vms")
        _move_to(main, subject_id)
        await main.push(later("vm:VmView")(subject_id))
        return
    if subject_type not in VIEW_OF:
        main.toast(f"There is no view for {subject_type or 'this'}.", severity="warning")
        return
    if not await show_row(main, subject_type, subject_id):
        main.toast("It is gone.", severity="warning")


async def show_row(main: MainScreen, subject_type: str, subject_id: str) -> bool:
    """Open the list of an object with the cursor on it; False when it is not there."""
    await main.show_root(VIEW_OF[subject_type])
    return _move_to(main, subject_id)


async def arrived(main: MainScreen) -> None:
    """Put the cursor on the object that is awaited once it is there, or say why it does not come."""
    if main.awaited is None:
        return
    subject_type, subject_id = main.awaited
    operations = main.session.fleet.operations.values()
    failed = [one for one in operations if one.subject_id == subject_id and one.status == "failed"]
    if subject_id in main.session.fleet.records(subject_type):
        main.awaited = None
        await show_row(main, subject_type, subject_id)
    elif failed:
        main.awaited = None
        main.toast(failed[0].reason, title=f"{failed[0].subject_name} was not made", severity="error")


def _move_to(main: MainScreen, subject_id: str) -> bool:
    view = main.view
    if not isinstance(view, TableView) or subject_id not in view.rows():
        return False
    if subject_id not in view.order.ids:
        view.set_filter("")
    view.table.move_to(subject_id)
    return True


HANDLERS: Final[Mapping[str, Handler]] = {
    **{view_id: partial(_go, view_id) for view_id in ROOT_VIEWS},
    "back": _back,
    "leave": _leave,
    "help": _help,
    "command": later("commands:ask"),
    "palette": lambda main: main.app.action_command_palette(),
    "actions": partial(_open_once, "actions", "own_actions:OwnActionsView"),
    "orphans": partial(_open_once, "orphans", "orphans:OrphansView"),
    "read_only": _read_only,
    "theme": lambda main: main.qarax.next_theme(),
    "redraw": lambda main: main.qarax.redraw(),
    "quit": lambda main: main.qarax.leave(),
    "copy": later("copying:copy_menu"),
    "create": later("create:open_create_form"),
    "edit": later("edit:edit_vm"),
    "fork": later("create:fork_vm"),
}
