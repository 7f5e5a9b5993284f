"""Change a VM. While it runs only names and policies can be changed, and only they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qarax_tui.client.errors import ClientError
from qarax_tui.screens import vm_fields
from qarax_tui.screens.form import Form

if TYPE_CHECKING:
    from qarax_tui.client.records import Vm
    from qarax_tui.screens.main import MainScreen
    from qarax_tui.screens.session import Session

_NOT_RUNNING = {"created", "shutdown"}


def edit_vm(main: MainScreen) -> None:
    """A form of the VM under the cursor."""
    found = main.view.subject()
    if found is not None:
        main.run_worker(_open(main, found[1]), group="edit", exclusive=True)


async def _open(main: MainScreen, vm: Vm) -> None:
    try:
        body = await main.session.fleet.details("vm", vm.id)
    except ClientError as error:
        main.toast(f"{error.sentence} {error.fix}".strip(), severity="error")
    else:
        main.app.push_screen(_form(main.session, vm, body))


def _form(session: Session, vm: Vm, body: Mapping[str, Any]) -> Form:
    off = vm.status in _NOT_RUNNING
    first, *rest = vm_fields.words(body, vm.name)
    fields = [first, *(vm_fields.shape(session.fleet, body) if off else ()), *rest]
    title = f"Edit {vm.name}" if off else f"Edit {vm.name}: stop it to change its size, disks and networks"

    async def submit(values: dict[str, Any]) -> bool:
        changes = differing(vm_fields.request(values, body), body)
        if changes:
            await session.api.update_vm(vm.id, changes)
        return True

    return Form(title, fields, "Save", submit)


def differing(wanted: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something else than the VM's JSON; none, empty and off are the same."""
    return {name: value for name, value in wanted.items() if (value or None) != (body.get(name) or None)}
