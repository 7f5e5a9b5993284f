"""The server goes away, the terminal shrinks, names are hostile, keys are random: the dashboard goes on."""

from __future__ import annotations

import asyncio
import random
import unicodedata
from pathlib import Path

from qarax_tui.app import Options, QaraxApp
from qarax_tui.client.settings import ClientSettings
from qarax_tui.keys import ROOT_VIEWS
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import furnish

HOSTILE = (
    "[/]",
    "[bold red]x[/bold red]",
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]52;c;aGk=\x07",
    "\x9b31m",
    "a\u202eb",
    "tab\tnew\nline",
    "$primary %s {0}",
    "\U0001f469\u200d\U0001f4bb wide 漢字",
    "",
    "x" * 5000,
)
KEYS = (*"abcdefghijklmnoprstuvwxyz", *"ADGHNOSTR", *"1234567", "enter", "escape", "space", "up", "down",
        "left", "right", "pageup", "pagedown", "home", "end", "tab", "slash", "colon", "question_mark",
        "ampersand", "ctrl+p", "ctrl+s", "ctrl+l", "backspace", "delete", "f5")  # fmt: skip


async def test_when_the_server_goes_everything_loaded_still_works_and_it_comes_back_by_itself() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("down", "down")
            chosen = desk.table.table.cursor_id
            await plane.kill()
            await desk.until(lambda: "Trying again" in desk.text())
            assert "away" in desk.text()
            await desk.press("slash", *"web", "enter")
            assert len(desk.table.order.ids) == 6
            await desk.press("escape", "s")
            await plane.revive()
            await desk.until(lambda: "● live" in desk.text())
            assert "Trying again" not in desk.text()
            desk.table.table.move_to(str(chosen))
            assert desk.table.table.cursor_id == chosen


async def test_the_console_survives_the_server() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"before\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "before" in desk.text())
            await plane.kill()
            await desk.until(lambda: "Trying again" in desk.text())
            assert "before" in desk.text()
            console.write(b"meanwhile\r\n")
            await plane.revive()
            await desk.until(lambda: "meanwhile" in desk.text())


async def test_what_is_typed_for_the_guest_never_becomes_a_key_of_the_dashboard() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"guest:~# ")
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())
            await plane.kill()
            await desk.until(lambda: "The console is not connected: typing goes nowhere." in desk.text())
            await plane.revive()
            await desk.until(
                lambda: "The input was lost: typing goes nowhere. ctrl+] or F12 leaves." in desk.text()
            )
            await desk.press(*"ps", "x", "enter", "D")
            assert desk.changes() == []
            assert desk.main.view.view_id == "console"
            assert desk.screen is desk.main
            await desk.press("f12")
            await desk.until(lambda: "Input" in desk.text().splitlines()[-1])
            await desk.press("p")
            await desk.until(lambda: ("POST", f"/vms/{ids['db-1']}/pause") in desk.changes())


async def test_what_is_typed_right_after_asking_for_the_input_is_for_the_guest() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"guest:~# ")
        console.answering.clear()
        async with dashboard(plane) as desk:
            await desk.press("c", "i", *"ps", "x", "enter", "D")
            assert "Asking for the input: what you type waits for it." in desk.text()
            console.answering.set()
            await desk.until(lambda: bytes(console.received) == b"psx\rD")
            assert desk.changes() == []
            assert desk.screen is desk.main


async def test_the_input_another_one_holds_is_taken_over_only_when_told_to() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"guest:~# ")
        console.holder = "ann"
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Take over the input of db-1?" in desk.text())
            await desk.press("n", "p", "x")
            await desk.until(lambda: "ann types into this console: typing goes nowhere" in desk.text())
            assert console.holder == "ann"
            await desk.press("f12", "i")
            await desk.until(lambda: "Take over the input of db-1?" in desk.text())
            await desk.press("y")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())
            await desk.press("p")
            await desk.until(lambda: bytes(console.received) == b"p")
            assert desk.changes() == []


async def test_the_input_that_the_other_one_gave_back_is_had_without_a_question() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"guest:~# ")
        console.holder = "ann"
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Take over the input of db-1?" in desk.text())
            await desk.press("n", "f12")
            console.holder = None
            await desk.press("i")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())


async def test_drawing_all_lines_is_not_lost_to_drawing_one() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web", status="running")
        async with dashboard(plane) as desk:
            view = desk.main.view
            assert "Delete" in desk.text().splitlines()[-1]
            desk.app.api.read_only = True
            view.announce()
            view.announce_note()
            await desk.until(lambda: "Delete" not in desk.text().splitlines()[-1])


async def test_an_empty_console_says_why_and_what_to_do() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="created")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "Nothing was written yet: it is created." in desk.text())
            assert "s starts it." in desk.text()
            plane.change("vm", vm, status="running")
            await desk.until(lambda: "The guest has written nothing yet." in desk.text())
            plane.console(vm).write(b"hay\r\n")
            await desk.until(lambda: "hay" in desk.text())
            await desk.press("ampersand")
            await desk.type("needle")
            await desk.press("enter")
            await desk.until(lambda: "No line matches “needle”." in desk.text())
            await desk.press("escape")
            await desk.until(lambda: "hay" in desk.text())


async def test_a_search_that_found_nothing_is_said_until_one_finds_something() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"one needle\r\n" + b"hay\r\n" * 100)
        async with dashboard(plane) as desk:
            await desk.press("c", "slash")
            await desk.type("needle")
            await desk.press("enter")
            await desk.until(lambda: "one needle" in desk.text())
            await desk.press("N")
            await desk.until(lambda: "No more “needle” above" in desk.text())
            await desk.press("G", "N")
            await desk.until(lambda: "one needle" in desk.text())
            assert "No more" not in desk.text()


async def test_nobody_there_at_start_is_a_banner_not_an_exit() -> None:
    async with ControlPlane() as plane:
        await plane.kill()
        async with dashboard(plane, wait=False) as desk:
            await desk.until(lambda: "Trying again" in desk.text())
            await desk.press(*"1234567")
            assert desk.app.is_running


async def test_shrinking_to_nothing_and_back() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for view_id in (*ROOT_VIEWS, "details"):
                if view_id == "details":
                    await desk.main.show_root("vms")
                    desk.main.perform("details")
                else:
                    await desk.main.show_root(view_id)
                for size in ((20, 5), (1, 1), (100, 30)):
                    await desk.pilot.resize_terminal(*size)
                    assert ("too small" in " ".join(desk.text().split())) == (size == (20, 5))
            assert "VMs" in desk.text()


def _fill_with_hostile_names(plane: ControlPlane) -> None:
    for name in HOSTILE:
        drivers = [{"name": name, "reason": name, "stand_in": True}]
        host = plane.add("host", name=name, address=name, status="up", status_reason=name, drivers=drivers)
        pool = plane.add("storage_pool", name=name, config={"path": name})
        plane.add("storage_object", name=name, storage_pool_id=pool)
        plane.add(
            "transfer", name=name, source=name, storage_pool_id=pool, status="failed", error_message=name
        )
        boot = plane.add("boot_source", name=name, description=name, kernel_params=name)
        networks = [{"id": name, "tap": name}]
        vm = plane.add("vm", name=name, status="running", status_reason=name, host_id=host, networks=networks,
                       boot_source_id=boot, driver=name, description=name)  # fmt: skip
        plane.add("operation", subject_name=name, reason=name, actor=name, subject_id=vm, status="failed")
        plane.console(vm).write(name.encode("utf-8", "surrogatepass") + b"\r\n")


async def test_hostile_names_on_every_view() -> None:
    async with ControlPlane() as plane:
        _fill_with_hostile_names(plane)
        async with dashboard(plane, (160, 60)) as desk:
            for view_id in ROOT_VIEWS:
                await desk.main.show_root(view_id)
                await desk.pilot.pause()
                _assert_clean(desk.text())
            await desk.main.show_root("vms")
            for vm_id in list(desk.table.order.ids)[::4]:
                desk.table.table.move_to(vm_id)
                for keys in (("enter",), ("c",), ("escape", "escape", "D"), ("escape", "y")):
                    await desk.press(*keys)
                    _assert_clean(desk.text())
                await desk.press("escape")
            await desk.press("f")
            _assert_clean(desk.text())
            await desk.press("escape")
            for name in HOSTILE:
                desk.main.toast(name)
            await desk.pilot.pause()
            _assert_clean(desk.text())


def _assert_clean(text: str) -> None:
    strange = {c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co"}}
    assert strange == set()


async def test_random_keys_in_read_only_mode_send_nothing_but_get() -> None:
    generator = random.Random(20261122)
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, read_only=True) as desk:
            for _ in range(15):
                await desk.burst(*generator.choices(KEYS, k=10))
            assert desk.app.is_running
            assert desk.app.api.read_only
        assert {method for method, _ in plane.requests} == {"GET"}


async def test_leaving_leaves_no_task_behind() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        before = {task for task in asyncio.all_tasks() if "aiohttp" not in repr(task)}
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: desk.main.view.view_id == "console")
            await desk.press("ctrl+q")
            await desk.until(lambda: not desk.app.is_running)
        await plane.kill()
        await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() if not task.done()} - before
        assert not [task for task in left if task is not asyncio.current_task()]


async def test_an_unexpected_exception_is_a_toast_and_the_widget_lives_on() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        app = QaraxApp(Options(settings=ClientSettings(plane.url), theme="dark"))
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.pause(0.2)
            assert app.main is not None

            def explode() -> None:
                raise RuntimeError("out of luck")

            app.main.set_timer(0.01, explode)
            app.main.call_later(explode)
            app.main.run_worker(_explode(), exit_on_error=True)
            await pilot.pause(0.2)
            assert [str(error) for error in app.failures]
            assert "goes on" in " ".join(toast.message for toast in app._notifications)
            await pilot.press("2")
            await pilot.pause(0.1)
            assert app.main.view.view_id == "hosts"


async def _explode() -> None:
    await asyncio.sleep(0)
    raise RuntimeError("out of luck in a worker")


async def test_a_list_that_cannot_be_read_says_so_in_its_own_view_only() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", silently=True, name="web")
        for _ in range(50):
            plane.refuse("GET", "/hosts", 500, {"message": "The list is broken."})
        async with dashboard(plane) as desk:
            assert "web" in desk.text()
            assert "live" in desk.text()
            await desk.press("2")
            assert "The list is broken." in desk.text()
            assert "not all could be read" in desk.text()


async def test_a_console_is_saved_whole_though_only_its_end_is_shown(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        console = plane.console(vm)
        console.write(b"".join(b"line %d\r\n" % number for number in range(3_000)))
        async with dashboard(plane) as desk:
            await desk.press("c", "S")
            await desk.type(str(tmp_path / "web.log"))
            await desk.press("enter")
            await desk.until(lambda: f"{len(console.data):,} bytes in " in desk.toasts())
            assert (tmp_path / "web.log").read_bytes() == bytes(console.data)


async def test_a_console_that_is_refused_says_the_servers_reason_and_does_not_cut_it() -> None:
    why = "host gamma does not answer: its node does not answer at 10.0.0.13:50051: connection refused"
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="unknown")
        for _ in range(40):
            plane.refuse("GET", f"/vms/{vm}/console", 503, {"message": why, "code": "node_unavailable"})
        async with dashboard(plane, (80, 24)) as desk:
            await desk.press("c")
            await desk.until(lambda: why in " ".join(desk.text().split()))


async def test_keys_for_a_console_without_a_connection_are_not_said_to_be_taken_over() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        plane.console(vm).write(b"guest:~# ")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "guest:~#" in desk.text())
            await plane.kill()
            await desk.until(lambda: "Nothing answers" in desk.text())
            await desk.press("i")
            assert "The console is not connected: typing goes nowhere." in desk.text()
