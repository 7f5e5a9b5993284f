"""A VM's console as a page: through an outage, its input, what it says when there is nothing to show."""

from __future__ import annotations

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
