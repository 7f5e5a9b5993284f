"""The server goes away, the terminal shrinks, names are hostile, keys are random: the dashboard goes on."""

from __future__ import annotations

import asyncio
import random
import time
import unicodedata

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
            await desk.press("space", "G", "k")
            chosen, marked = desk.table.table.cursor_id, desk.table.table.marked
            await plane.kill()
            await desk.until(lambda: "Trying again" in desk.text())
            assert "away" in desk.text()
            await desk.press("slash", *"web", "enter")
            assert len(desk.table.order.ids) == 6
            await desk.press("escape", "s")
            await plane.revive()
            back = time.monotonic()
            await desk.until(lambda: "● live" in desk.text())
            assert time.monotonic() - back < 2
            assert "Trying again" not in desk.text()
            assert desk.table.table.cursor_id == chosen
            assert desk.table.table.marked == marked


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
