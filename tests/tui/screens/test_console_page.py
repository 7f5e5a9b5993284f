"""A VM's console as a page: through an outage, its input, what it says when there is nothing to show."""

from __future__ import annotations

from pathlib import Path

from qarax_tui.screens.console import ConsolePage
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import furnish


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


async def test_the_keys_of_the_console_reach_it() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"needle one\r\n" + b"hay\r\n" * 100 + b"needle two\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "needle two" in desk.text())
            page = desk.main.view
            assert isinstance(page, ConsolePage)
            for key, name in (("w", "wrap"), ("t", "show_times")):
                before = getattr(page.console, name)
                await desk.press(key)
                assert getattr(page.console, name) is not before
            await desk.press("slash", *"needle", "enter", "N")
            await desk.until(lambda: "needle one" in desk.text())
            await desk.press("n")
            await desk.until(lambda: "needle two" in desk.text())
            assert "not following" in desk.text()
            await desk.press("f")
            await desk.until(lambda: "not following" not in desk.text())


async def test_the_log_is_saved_where_it_is_said_and_only_once(tmp_path: Path) -> None:
    place = tmp_path / "db-1.log"
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"login: \x1b[1mroot\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "login:" in desk.text())
            for _ in range(2):
                await desk.press("S")
                await desk.type(str(place))
                await desk.press("enter")
            assert place.read_bytes() == b"login: \x1b[1mroot\r\n"
            assert f"17 bytes in {place}" in desk.toasts()
            assert "exists" in desk.toasts()
