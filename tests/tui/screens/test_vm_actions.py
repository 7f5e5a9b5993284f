"""What the operator does to VMs: at once, after a question, after typing, for one and for many."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input

from qarax_tui.screens.confirm import Confirm
from qarax_tui.screens.jobs import Report
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


async def test_marked_vms_are_acted_on_together_with_a_result_for_each() -> None:
    async with ControlPlane() as plane:
        ids = [plane.add("vm", name=f"web-{n}", status="created") for n in range(3)]
        plane.refuse("POST", f"/vms/{ids[1]}/start", 409, {"message": "web-1 is busy."})
        async with dashboard(plane) as desk:
            await desk.press("a", "s")
            assert isinstance(desk.screen, Report)
            await desk.until(lambda: "2 of 3 done, 1 failed" in desk.text())
            assert "web-1 is busy." in desk.text()
            await desk.press("r")
            await desk.until(lambda: "3 of 3 done" in desk.text())
            assert {desk.app.fleet.vms[vm].status for vm in ids} == {"running"}


async def test_marked_vms_that_an_action_does_not_fit_are_named_before_and_after() -> None:
    async with ControlPlane() as plane:
        ids = [plane.add("vm", name=f"web-{n}", status="running") for n in range(2)]
        off = plane.add("vm", name="web-2", status="shutdown")
        async with dashboard(plane) as desk:
            await desk.press("a", "x")
            assert "Stop 2 VMs?" in desk.text()
            assert "Left out, it does not fit them: web-2." in desk.text()
            await desk.press("y")
            await desk.until(lambda: "2 of 2 done, 1 left out" in desk.text())
            assert "– web-2  it is shutdown" in desk.text()
            assert {path for _, path in desk.changes()} == {f"/vms/{vm}/stop" for vm in ids}
            await desk.press("escape")
            plane.change("vm", off, status="paused")
            await desk.until(lambda: desk.app.fleet.vms[off].status == "paused")
            await desk.press("r")
            await desk.until(lambda: "1 of 1 done, 2 left out" in desk.text())


async def test_one_that_stops_already_does_not_keep_the_other_marked_ones_from_being_stopped() -> None:
    async with ControlPlane() as plane:
        operation = {"id": "o", "action": "stop", "status": "running", "actor": "anna"}
        plane.add("vm", name="web-0", status="running", operation=operation)
        other = plane.add("vm", name="web-1", status="running")
        async with dashboard(plane) as desk:
            await desk.press("a", "x")
            assert "Stop web-1?" in desk.text()
            await desk.press("y")
            await desk.until(lambda: "web-0  it is being stopped already" in desk.text())
            assert desk.changes() == [("POST", f"/vms/{other}/stop")]


async def test_a_marked_vm_that_went_while_the_question_was_open_is_told_of() -> None:
    async with ControlPlane() as plane:
        vms = [plane.add("vm", name=f"web-{n}", status="running") for n in range(3)]
        async with dashboard(plane) as desk:
            await desk.press("a", "x")
            plane.remove("vm", vms[1])
            await desk.until(lambda: vms[1] not in desk.app.fleet.vms)
            await desk.press("y")
            await desk.until(lambda: "2 of 2 done, 1 left out" in desk.text())
            assert "web-1  it is gone" in desk.text()


async def test_a_report_longer_than_the_screen_still_says_its_keys() -> None:
    async with ControlPlane() as plane:
        for number in range(30):
            plane.add("vm", name=f"web-{number}", status="created")
        async with dashboard(plane, (60, 16)) as desk:
            await desk.press("a", "s")
            await desk.until(lambda: "30 of 30 done" in desk.text())
            assert "esc closes" in desk.text()


async def test_a_long_reason_in_a_report_wraps_below_itself() -> None:
    why = "another operation is in its way, a stop that anna asked for, which waits for the guest to obey it"
    async with ControlPlane() as plane:
        vms = [plane.add("vm", name=name, status="created") for name in ("web-1", "web-2")]
        plane.refuse("POST", f"/vms/{vms[0]}/start", 409, {"message": why, "code": "busy"})
        async with dashboard(plane, (80, 24)) as desk:
            await desk.press("a", "s")
            await desk.until(lambda: "1 failed" in desk.text())
            lines = [line.split("│")[1] for line in desk.text().split("\n") if line.count("│") == 2]
            first = next(place for place, line in enumerate(lines) if "web-1" in line)
            assert lines[first].index("web-1") == len(lines[first + 1]) - len(lines[first + 1].lstrip())


async def test_deleting_several_is_typed_as_their_number() -> None:
    async with ControlPlane() as plane:
        for number in range(3):
            plane.add("vm", name=f"web-{number}", status="shutdown")
        async with dashboard(plane) as desk:
            await desk.press("space", "space", "D")
            assert "Delete 2 VMs?" in desk.text()
            desk.screen.query_one(Input).value = "2"
            await desk.press("enter")
            await desk.until(lambda: len(desk.app.fleet.vms) == 1)
            assert [vm.name for vm in desk.app.fleet.vms.values()] == ["web-2"]


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
