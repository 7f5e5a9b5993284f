"""`:` commands: every action by its name, and a few that take a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from qarax_tui.keys import ACTIONS, BY_ID, ROOT_VIEWS
from qarax_tui.screens.prompt import Asking
from qarax_tui.screens.table_view import TableView
from qarax_tui.themes import THEMES

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
    columns = list(view.sort_keys()) if isinstance(view, TableView) else []
    return (
        *here,
        *(f"theme {theme.name.removeprefix('qarax-')}" for theme in THEMES),
        *(f"sort {column}" for column in columns),
        *(f"vm {name}" for name in sorted(vm.name for vm in main.session.fleet.vms.values())[:500]),
    )


def ask(main: MainScreen) -> None:
    """Open the `:` line."""

    def entered(text: str) -> None:
        main.back_to_view()
        run(main, text)

    hint = "a view, an action, theme, sort, filter, vm NAME; tab completes"
    main.ask(Asking(":", "", lambda _: "", entered, main.back_to_view, hint, completions(main)))


def run(main: MainScreen, text: str) -> None:
    """Carry out a command line; what is not known is said, nothing is guessed."""
    word, _, rest = text.strip().removeprefix(":").partition(" ")
    if not word:
        return
    if rest and word in _WITH_WORD:
        _WITH_WORD[word](main, rest.strip())
        return
    action_id = _SHORT.get(word, word.replace("-", "_"))
    if action_id in ROOT_VIEWS and rest:
        main.go_filtered(action_id, rest.strip())
    elif action_id in BY_ID:
        main.perform(action_id)
    else:
        main.toast(f"There is no command {word:.40}. ? shows what works here.", severity="warning")


def _theme(main: MainScreen, name: str) -> None:
    names = [theme.name for theme in THEMES]
    wanted = name if name in names else f"qarax-{name}"
    if wanted in names:
        main.qarax.choose_theme(wanted)
    else:
        main.toast(f"There is no theme {name}; there are {', '.join(names)}.", severity="warning")


def _sort(main: MainScreen, column: str) -> None:
    if isinstance(main.view, TableView):
        main.view.sort_by(column)


def _filter(main: MainScreen, text: str) -> None:
    if isinstance(main.view, TableView):
        complaint = main.view.set_filter(text)
        if complaint:
            main.toast(complaint, severity="warning")


def _vm(main: MainScreen, name: str) -> None:
    found = [vm.id for vm in main.session.fleet.vms.values() if name in (vm.name, vm.id)]
    if found:
        main.go_to("vm", found[0])
    else:
        main.toast(f"There is no VM {name:.63}.", severity="warning")


_WITH_WORD: Final[Mapping[str, Callable[[MainScreen, str], None]]] = {
    "theme": _theme,
    "sort": _sort,
    "filter": _filter,
    "vm": _vm,
}
