"""`:` commands: every action by its name, and a few that take a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from qarax_tui.keys import ACTIONS, BY_ID, ROOT_VIEWS
from qarax_tui.screens.prompt import Asking
from qarax_tui.screens.table_view import TableView
from qarax_tui.themes import STATUSES, THEMES

if TYPE_CHECKING:
    from qarax_tui.screens.main import MainScreen

_SHORT: Final[Mapping[str, str]] = {
    "q": "quit", "vm": "vms", "host": "hosts", "boot": "boot_sources", "ops": "operations",
    "ev": "events", "log": "actions", "new": "create", "ro": "read_only", "h": "help", "pools": "storage",
}  # fmt: skip


def completions(main: MainScreen) -> tuple[str, ...]:
    """What tab offers: actions that apply here, then the commands with a word."""
    here = [action.command for action in ACTIONS if action.applies(main.view.view_id)]
    view = main.view
    columns = view.sortable if isinstance(view, TableView) else ()
    return (
        *here,
        *(f"theme {theme.name.removeprefix('qarax-')}" for theme in THEMES),
        *(f"sort {column}" for column in columns),
        *(f"vms status={status}" for status in STATUSES),
        *(
            f"vms host={name}"
            for name in sorted(host.name for host in main.session.fleet.hosts.values())[:500]
        ),
        *(f"vm {name}" for name in sorted(vm.name for vm in main.session.fleet.vms.values())[:500]),
    )


def ask(main: MainScreen) -> None:
    """Open the `:` line."""

    def entered(text: str) -> None:
        main.back_to_view()
        complaint = run(main, text)
        if complaint:
            again(text, complaint)

    def again(text: str, complaint: str) -> None:
        hint = "view, action, vm NAME, theme …; tab"
        offered = completions(main)
        main.ask(Asking(":", text, lambda _: "", entered, main.back_to_view, hint, offered, complaint))

    again("", "")


def run(main: MainScreen, text: str) -> str:
    """Carry out a command line; returns the complaint about it. Nothing is guessed."""
    word, _, rest = text.strip().removeprefix(":").partition(" ")
    if not word:
        return ""
    if rest and word in _WITH_WORD:
        return _WITH_WORD[word](main, rest.strip())
    action_id = _SHORT.get(word, word.replace("-", "_"))
    if action_id in ROOT_VIEWS and rest:
        main.go_filtered(action_id, rest.strip())
    elif action_id not in BY_ID:
        return f"There is no command {word:.20}."
    elif rest:
        here = ", it acts under the cursor" if BY_ID[action_id].target else ""
        return f":{word:.20} takes no word{here}."
    else:
        main.perform(action_id)
    return ""


def _theme(main: MainScreen, name: str) -> str:
    names = [theme.name for theme in THEMES]
    wanted = name if name in names else f"qarax-{name}"
    if wanted not in names:
        return f"Themes: {', '.join(one.removeprefix('qarax-') for one in names)}."
    main.qarax.choose_theme(wanted)
    return ""


def _sort(main: MainScreen, column: str) -> str:
    view = main.view
    if not isinstance(view, TableView) or column not in view.sortable:
        return f"There is no column {column:.20} here."
    view.sort_by(column)
    return ""


def _filter(main: MainScreen, text: str) -> str:
    return main.view.set_filter(text) if isinstance(main.view, TableView) else "There is no list here."


def _vm(main: MainScreen, name: str) -> str:
    found = [vm.id for vm in main.session.fleet.vms.values() if name in (vm.name, vm.id)]
    if not found:
        return f"There is no VM {name:.30}."
    main.go_to("vm", found[0])
    return ""


_WITH_WORD: Final[Mapping[str, Callable[[MainScreen, str], str]]] = {
    "theme": _theme,
    "sort": _sort,
    "filter": _filter,
    "vm": _vm,
}
