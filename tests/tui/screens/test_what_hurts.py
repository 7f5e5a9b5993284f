"""Everything that can hurt asks first and names its object; a no, and esc, send nothing."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from qarax_tui.keys import ACTIONS, BY_ID
from qarax_tui.screens.dialog import Dialog
from qarax_tui.screens.orphans import OrphansView
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard, open_view
from tests.tui.screens.world import furnish


class Case(NamedTuple):
    """`sent` is what a yes sends, {} being the object's id; empty where more than a yes is wanted."""

    view: str
    noun: str
    name: str
    sent: tuple[str, str] | None


CASES = {
    "stop": Case("vms", "vm", "web-2", ("POST", "/vms/{}/stop")),
    "reboot": Case("vms", "vm", "web-2", ("POST", "/vms/{}/reboot")),
    "delete": Case("vms", "vm", "web-2", None),
    "down": Case("hosts", "host", "alpha", ("PATCH", "/hosts/{}")),
    "deploy": Case("hosts", "host", "alpha", None),
    "forget": Case("hosts", "host", "alpha", ("DELETE", "/hosts/{}")),
    "cancel_transfer": Case("storage", "transfer", "debian.raw", ("POST", "/transfers/{}/cancel")),
    "remove": Case("storage", "storage_object", "root.ext4", ("DELETE", "/storage-objects/{}")),
    "delete_boot_source": Case("boot_sources", "boot_source", "linux", ("DELETE", "/boot-sources/{}")),
    "cancel": Case("operations", "operation", "web-9", ("POST", "/operations/{}/cancel")),
    "delete_orphan": Case("orphans", "orphan", "stray", None),
}


def test_every_dangerous_action_is_here() -> None:
    assert CASES.keys() == {action.id for action in ACTIONS if action.dangerous}


def world(plane: ControlPlane) -> None:
    ids = furnish(plane)
    plane.add("operation", status="running", subject_id=ids["web-9"], subject_name="web-9")
    plane.add("orphan", name="stray", host_id="")


async def put_cursor_on(desk: Desk, case: Case) -> str:
    if case.view == "orphans":
        await desk.main.push(OrphansView())
    else:
        await open_view(desk, case.view)
    wanted = ("name", "subject_name")
    rows = desk.plane.resources[case.noun]
    found = next(one for one, row in rows.items() if case.name in [row.get(name) for name in wanted])
    await desk.until(lambda: found in desk.table.order.ids)
    desk.table.table.move_to(found)
    await desk.pilot.pause()
    return found


@pytest.mark.parametrize("action", CASES)
async def test_it_asks_and_does_what_it_asked(action: str) -> None:
    case, key = CASES[action], BY_ID[action].key
    async with ControlPlane() as plane:
        world(plane)
        async with dashboard(plane) as desk:
            identifier = await put_cursor_on(desk, case)
            await desk.press(key)
            assert isinstance(desk.app.screen, Dialog)
            assert case.name in str(desk.app.screen.query_one(".dialog").border_title)
            await desk.press("escape")
            assert desk.screen is desk.main
            assert desk.changes() == []
            if case.sent is not None:
                method, path = case.sent
                await desk.press(key, "y")
                await desk.until(lambda: bool(desk.changes()))
                assert [one for one, _ in desk.changes()] == [method]
                assert desk.changes()[0][1].endswith(path.format(identifier))
