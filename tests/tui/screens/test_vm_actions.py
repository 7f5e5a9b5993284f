"""What the operator does to VMs: at once, after a question, after typing."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input

from qarax_tui.screens.confirm import Confirm
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import furnish


async def test_start_happens_at_once_and_shows() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="created")
        async with dashboard(plane) as desk:
            await desk.press("s")
            await desk.until(lambda: desk.app.fleet.vms[vm].status == "running")
            await desk.until(lambda: "● running" in desk.text())
            assert desk.changes() == [("POST", f"/vms/{vm}/start")]


@pytest.mark.parametrize(("key", "before", "after"), [("p", "running", "paused"), ("r", "paused", "running")])
async def test_pause_and_resume_happen_at_once(key: str, before: str, after: str) -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status=before)
        async with dashboard(plane) as desk:
            await desk.press(key)
            await desk.until(lambda: desk.app.fleet.vms[vm].status == after)
            assert desk.screen is desk.main


async def test_an_action_that_does_not_fit_the_status_is_refused_here_with_the_status() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", status="shutdown")
        async with dashboard(plane) as desk:
            await desk.press("p")
            assert "web-1 is shutdown: pause needs it to be running." in desk.toasts()
            assert desk.changes() == []


async def test_stop_asks_and_names_the_vm() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="running")
        async with dashboard(plane) as desk:
            await desk.press("x")
            assert "Stop web-1?" in desk.text()
            await desk.press("n")
            assert desk.changes() == []
            await desk.press("x", "y")
            await desk.until(lambda: desk.app.fleet.vms[vm].status == "shutdown")


async def test_the_cancel_button_has_the_focus_of_a_question() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", status="running")
        async with dashboard(plane) as desk:
            await desk.press("x", "enter")
            assert not isinstance(desk.screen, Confirm)
            assert desk.changes() == []


async def test_deleting_a_running_vm_is_typed() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="running")
        async with dashboard(plane) as desk:
            await desk.press("D", "y", "enter")
            assert isinstance(desk.screen, Confirm)
            assert desk.screen.query_one("#yes", Button).disabled
            assert "That is something else: type web-1 to go on:" in desk.text()
            desk.screen.query_one(Input).value = "web-1"
            await desk.press("enter")
            await desk.until(lambda: vm not in desk.app.fleet.vms)
            assert desk.changes() == [("DELETE", f"/vms/{vm}")]


async def test_a_vm_whose_host_is_away_can_be_deleted_when_its_name_is_typed() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="unknown")
        async with dashboard(plane) as desk:
            await desk.press("D")
            assert "not answer: forgotten here now" in " ".join(desk.text().replace("│", " ").split())
            await desk.press(*"web-1", "enter")
            await desk.until(lambda: not desk.app.fleet.vms)
            assert ("DELETE", f"/vms/{vm}") in desk.changes()
            assert desk.app.api.actions[-1].path.endswith("?force=true")


async def test_a_vm_that_hangs_on_a_host_that_answers_can_be_stopped_and_is_not_called_away() -> None:
    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up")
        vm = plane.add("vm", name="web-1", status="unknown", host_id=host)
        async with dashboard(plane) as desk:
            await desk.press("D")
            told = " ".join(desk.text().replace("│", " ").split())
            assert "It may be running and will be cut off hard" in told
            assert "not answer" not in told
            await desk.press("escape", "x", "y")
            await desk.until(lambda: ("POST", f"/vms/{vm}/stop") in desk.changes())


async def test_a_vm_that_goes_while_the_question_is_open_is_not_replaced_by_its_neighbour() -> None:
    async with ControlPlane() as plane:
        first = plane.add("vm", name="a", status="shutdown")
        plane.add("vm", name="b", status="shutdown")
        async with dashboard(plane) as desk:
            await desk.press("D")
            plane.remove("vm", first)
            await desk.until(lambda: first not in desk.app.fleet.vms)
            await desk.press("y")
            assert "the VM is gone, nothing was done" in desk.toasts()
            assert desk.changes() == []


async def test_after_the_vm_under_the_cursor_is_gone_keys_act_on_nothing() -> None:
    async with ControlPlane() as plane:
        first = plane.add("vm", name="a", status="created")
        plane.add("vm", name="b", status="created")
        async with dashboard(plane) as desk:
            plane.remove("vm", first)
            await desk.until(lambda: desk.table.table.cursor_id is None)
            await desk.press("s")
            assert "no VM is under the cursor" in desk.toasts()
            assert desk.changes() == []


async def test_stop_while_it_stops_offers_force() -> None:
    async with ControlPlane() as plane:
        operation = {"id": "o", "action": "stop", "status": "running", "actor": "anna"}
        vm = plane.add("vm", name="web-1", status="running", operation=operation)
        async with dashboard(plane) as desk:
            await desk.press("x")
            assert "Force web-1 off now?" in desk.text()
            await desk.press("y")
            await desk.until(lambda: ("POST", f"/vms/{vm}/stop") in desk.changes())


async def test_a_protected_vm_is_not_asked_about() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", status="shutdown", protected=True)
        plane.add("vm", name="web-2", status="paused")
        async with dashboard(plane) as desk:
            await desk.press("D")
            assert "web-1: protected from deletion; e takes that away." in desk.toasts()
            await desk.press("a", "D")
            assert "1 of them are running or paused" in desk.text()
            assert "Protected, so it will be refused: web-1." in desk.text()


async def test_a_form_opens_on_the_vm_under_the_cursor_whatever_is_marked() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("space", "e")
            await desk.until(lambda: "Edit db-4" in desk.text())


async def test_a_refusal_of_the_server_is_a_toast_in_its_words() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="created")
        plane.refuse("POST", f"/vms/{vm}/start", 422, {"message": "No host has 512 MiB free."})
        async with dashboard(plane) as desk:
            await desk.press("s")
            await desk.until(lambda: "No host has 512 MiB free." in desk.toasts())
            said = next(toast for toast in desk.app._notifications if "512 MiB" in toast.message)
            assert said.timeout >= 10  # time to look up and read


async def test_read_only_switches_everything_off_that_changes_something() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", status="created")
        async with dashboard(plane, read_only=True) as desk:
            assert "READ-ONLY" in desk.text()
            await desk.press("s", "n", "D")
            assert "Read-only mode: Start is off." in desk.toasts()
            assert desk.changes() == []
            await desk.press("L", "s")
            await desk.until(lambda: len(desk.changes()) == 1)


async def test_own_actions_are_listed_with_their_curl() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="created")
        async with dashboard(plane, (160, 30)) as desk:
            await desk.press("s")
            await desk.until(lambda: len(desk.app.api.actions) == 1)
            await desk.press("H")
            await desk.until(lambda: f"/vms/{vm}/start" in desk.text())
            assert "curl" in desk.text()
            assert "start web-1" in desk.text()


async def test_own_actions_are_told_in_words_also_when_their_object_is_gone() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", status="created")
        async with dashboard(plane, (80, 24)) as desk:
            api = desk.app.api
            host = await api.create_host({"name": "alpha"})
            await api.update_host(host, {"status": "down"})
            pool = await api.create_storage_pool({"name": "images"})
            await api.create_transfer(pool, {"name": "debian"})
            await api.create_disk(pool, {"name": "data"})
            await api.delete_host(host)
            await desk.press("D", "y")
            await desk.until(lambda: not desk.app.fleet.vms and len(api.actions) == 7)
            await desk.press("H")
            await desk.until(lambda: "delete web-1" in desk.text())
            for told in (
                *("register host alpha", "change alpha", "delete alpha", "create pool images"),
                *("transfer debian", "make disk data"),
            ):
                assert told in desk.text()
