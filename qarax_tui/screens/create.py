"""Create a VM in one screen: the host verdicts of a dry run stand beside the form while one types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.timer import Timer

from qarax_tui.client.errors import ApiError, ClientError
from qarax_tui.screens import vm_fields
from qarax_tui.screens.copying import create_body
from qarax_tui.screens.form import Field, Form
from qarax_tui.screens.vm_sections import verdicts
from qarax_tui.widgets.card import Card, Line, plain

if TYPE_CHECKING:
    from qarax_tui.client.fleet import Fleet
    from qarax_tui.screens.main import MainScreen

_TYPING_PAUSE_SECONDS = 0.3
_NO_VERDICT = plain("The hosts show when every field is valid.", "$muted")


class CreateForm(Form):
    """`base` is a VM's JSON when it is forked: what the form does not show is kept from it."""

    def __init__(self, main: MainScreen, base: Mapping[str, Any]) -> None:
        self.main_screen, self.base = main, base
        self._timer: Timer | None = None
        super().__init__("Create a VM", _fields(main.session.fleet, base), "Create", self._create)

    def compose_beside(self) -> ComposeResult:
        with VerticalScroll(id="verdicts", can_focus=False):
            yield Card(id="verdict-text")

    def on_mount(self) -> None:
        self._say(plain("The hosts that would take it show here.", "$muted"))
        self.on_values(self.values())

    async def _create(self, values: dict[str, Any]) -> str:
        return await self.main_screen.session.api.create_vm(body(values, self.base))

    def on_values(self, values: Mapping[str, Any] | None) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if values is None:
            self.workers.cancel_group(self, "dry-run")
            self._say(_NO_VERDICT)
        else:
            self._timer = self.set_timer(_TYPING_PAUSE_SECONDS, lambda: self._dry_run(dict(values)))

    @work(exclusive=True, group="dry-run")
    async def _dry_run(self, values: dict[str, Any]) -> None:
        try:
            decision = await self.main_screen.session.api.dry_run_vm(body(values, self.base))
        except ApiError as error:
            self._say(_NO_VERDICT if error.errors else plain(error.sentence, "$warning"))
            if error.errors:
                self.show_refusal(error)
        except ClientError as error:
            self._say(plain(error.sentence, "$muted"))
        else:
            self._say(*_verdicts(decision))

    def _say(self, *lines: Line) -> None:
        for card in self.query("#verdict-text").results(Card):  # none any more while the form is closing
            card.show(lines)


def _verdicts(decision: Mapping[str, Any]) -> list[Line]:
    lines = verdicts(decision)
    head = plain(str(decision.get("message") or ("Hosts" if lines else "No host was asked.")), "bold")
    return [head, plain(""), *lines]


def _fields(fleet: Fleet, base: Mapping[str, Any]) -> Sequence[Field]:
    first, *rest = vm_fields.words(base, free_name(fleet, str(base.get("name") or "vm-1")))
    return (first, *vm_fields.shape(fleet, base), vm_fields.driver(fleet), *rest)


def free_name(fleet: Fleet, wanted: str) -> str:
    """`wanted`, or the next name counted up that no VM has."""
    taken = {vm.name for vm in fleet.vms.values()}
    stem, _, number = wanted.rpartition("-")
    if not number.isdigit():
        stem, number = wanted, "1"
    candidate, place = wanted, int(number)
    while candidate in taken:
        place += 1
        candidate = f"{stem[:50]}-{place}"
    return candidate


def body(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The request: what the form says, over what a forked VM had."""
    kept = create_body(base) if base else {}
    request = {"hypervisor": "cloud_hv", **kept, **vm_fields.request(values, base)}
    return {name: value for name, value in request.items() if value not in (None, [], "", False)}


def open_create_form(main: MainScreen) -> None:
    """An empty form."""
    _open(main, {})


def fork_vm(main: MainScreen) -> None:
    """A form filled from the VM under the cursor."""
    found = main.view.subject()
    if found is not None:
        main.run_worker(_fork(main, found[1].id), group="fork", exclusive=True)


async def _fork(main: MainScreen, vm_id: str) -> None:
    try:
        base = await main.session.fleet.details("vm", vm_id)
    except ClientError as error:
        main.toast(f"{error.sentence} {error.fix}".strip(), severity="error")
    else:
        _open(main, base)


def _open(main: MainScreen, base: Mapping[str, Any]) -> None:
    def created(vm_id: str | None) -> None:
        if vm_id:
            main.toast(f"Created. {main.session.keymap.shown_id('start')} starts it.")
            main.arrive("vm", vm_id)

    main.app.push_screen(CreateForm(main, base), created)
