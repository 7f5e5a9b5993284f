"""Copy what is under the cursor: id, name, curl, the API's JSON, YAML, the hypervisor's own JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from qarax_tui.client.api import LISTS, details_path
from qarax_tui.client.errors import ClientError
from qarax_tui.client.transport import OwnAction
from qarax_tui.screens.dialog import Dialog
from qarax_tui.screens.hypervisor_json import vm_config

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from qarax_tui.client.api import Api
    from qarax_tui.client.records import Noun
    from qarax_tui.screens.main import MainScreen

Json = Mapping[str, Any]
_ADDED = {"id", "status", "status_reason", "host_id", "created_at", "updated_at", "started_at", "operation"}


class CopyMenu(Dialog[str]):
    """Which form to copy; dismissed with its name."""

    BINDINGS: ClassVar = [Binding("escape,q", "dismiss('')", "Leave", show=False)]

    def __init__(self, title: str, forms: Mapping[str, str]) -> None:
        super().__init__()
        self.menu_title, self.forms = title, forms

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog menu") as box:
            box.border_title = Content(self.menu_title)
            yield OptionList(
                *(Option(Content(text), id=form) for form, text in self.forms.items()), compact=True
            )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id or "")


def copy_menu(main: MainScreen) -> None:
    """Ask for the form, fetch what it needs, put it on the clipboard."""
    found = main.view.subject()
    if found is None:
        main.toast("There is nothing under the cursor to copy.", severity="warning")
        return
    noun, record = found
    if isinstance(record, OwnAction):
        put(main, "curl", record.curl)
        return
    name, identifier = str(getattr(record, "name", record.id)), str(record.id)
    forms = {"id": "Id", "name": "Name", "curl": "curl that reads it", "json": "JSON as the API gives it",
             "yaml": "YAML"}  # fmt: skip
    if noun == "vm":
        forms |= {"create": "curl that creates the same", "hypervisor": "JSON for Cloud Hypervisor"}

    def chosen(form: str | None) -> None:
        if form in ("id", "name"):
            put(main, forms[form], identifier if form == "id" else name)
        elif form:
            main.run_worker(_fetch_and_copy(main, noun, identifier, form, forms[form]), group="copy")

    main.app.push_screen(CopyMenu(f"Copy {name} as", forms), chosen)


async def _fetch_and_copy(main: MainScreen, noun: Noun, identifier: str, form: str, label: str) -> None:
    fleet, api = main.session.fleet, main.session.api
    try:
        body = fleet.raw(noun, identifier) or await fleet.details(noun, identifier)
    except ClientError as error:
        main.toast(f"{error.sentence} {error.fix}".strip(), severity="error")
        return
    put(main, label, FORMS[form](api, noun, body))


def _yaml(_api: Api, _noun: Noun, body: Json) -> str:
    import yaml  # noqa: PLC0415 - only this form needs it

    return yaml.safe_dump(dict(body), sort_keys=False, allow_unicode=True)


def create_body(body: Json) -> dict[str, Any]:
    """What to POST to get the same VM: the spec without what the server adds."""
    return {name: value for name, value in body.items() if name not in _ADDED and value not in (None, [], {})}


FORMS: dict[str, Callable[[Api, Noun, Json], str]] = {
    "json": lambda _api, _noun, body: json.dumps(body, indent=2),
    "yaml": _yaml,
    "curl": lambda api, noun, body: api.as_curl("GET", details_path(noun, body)),
    "create": lambda api, noun, body: api.as_curl("POST", LISTS[noun], create_body(body)),
    "hypervisor": lambda _api, _noun, body: json.dumps(vm_config(body), indent=2),
}


def put(main: MainScreen, what: str, text: str) -> None:
    """On the clipboard, and say so."""
    main.app.copy_to_clipboard(text)
    main.toast(f"Copied: {what} ({len(text):,} characters).")
