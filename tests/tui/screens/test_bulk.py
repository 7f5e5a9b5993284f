"""What is done to marked VMs together: what it asks, what it leaves out, and the report of each."""

from __future__ import annotations

from textual.widgets import Input

from qarax_tui.screens.jobs import Report
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard


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
