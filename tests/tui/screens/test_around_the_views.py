"""What stands around and above the rows: tabs, breadcrumbs, footer, headings, themes; with the mouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from qarax_tui import keymap
from qarax_tui.client.connection import Connection
from qarax_tui.keys import ROOT_VIEWS
from qarax_tui.screens.welcome import Welcome
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard, open_view
from tests.tui.screens.world import furnish


async def test_the_mouse_reaches_tabs_rows_and_footer() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.pilot.click("#tabs", offset=(12, 0))
            await desk.until(lambda: desk.main.view.view_id == "hosts")
            await desk.pilot.click("#tabs", offset=(3, 0))
            await desk.until(lambda: desk.main.view.view_id == "vms")
            await desk.pilot.click("#vms-table", offset=(5, 3))
            assert getattr(desk.table.current(), "name", "") == "db-7"
            await desk.pilot.click("#footer", offset=(2, 0))
            await desk.until(lambda: "Create a VM" in desk.text())


async def test_a_click_on_the_breadcrumbs_goes_back_there() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("enter", "c")
            await desk.until(lambda: "VMs › db-1 › Console" in desk.text())
            await desk.pilot.click("#crumbs", offset=(2, 0))
            await desk.until(lambda: desk.main.view.view_id == "vms")
            assert len(desk.main.stack) == 1


async def test_the_footer_offers_only_what_fits_the_row() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for view_id, there, absent in (
                ("operations", "Retry", "Cancel"),
                ("storage", "Delete", "Cancel"),
                ("hosts", "Down", "u Up"),
            ):
                await open_view(desk, view_id)
                await desk.until(lambda there=there: there in desk.text().splitlines()[-1])  # type: ignore[misc]
                assert absent not in desk.text().splitlines()[-1]


async def test_every_column_sorts() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (160, 50)) as desk:
            for view_id in ("vms", "hosts", "storage", "boot_sources", "operations", "events"):
                await open_view(desk, view_id)
                for column in desk.table.sortable:
                    desk.table.sort_by(column)
                    assert desk.table.sort_column == column
            await open_view(desk, "operations")
            desk.table.sort_by("action")
            desk.table.sort_by("reason")
            reasons = [desk.app.fleet.operations[one].reason for one in desk.table.order.ids]
            assert reasons == sorted(reasons)


async def test_themes_change_at_once() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await desk.press("T")
        assert desk.app.theme == "qarax-light"
        await desk.press("colon")
        await desk.type("theme colour-blind")
        await desk.press("enter")
        assert desk.app.theme == "qarax-colour-blind"


async def test_the_theme_is_kept_and_the_welcome_comes_once(tmp_path: Path) -> None:
    place = tmp_path / "state" / "dashboard.json"
    async with ControlPlane() as plane:
        async with dashboard(plane, theme="", remembered=place) as desk:
            await desk.until(lambda: isinstance(desk.screen, Welcome))
            await desk.press("enter", "T")
            assert desk.app.theme == "qarax-light"
        async with dashboard(plane, theme="", remembered=place) as desk:
            assert desk.screen is desk.main
            assert desk.app.theme == "qarax-light"


async def test_the_header_says_when_the_data_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        assert " old" not in desk.text().splitlines()[0]
        monkeypatch.setattr(Connection, "age", 20.0)
        await desk.until(lambda: "live, data 20 s old" in desk.text().splitlines()[0])


async def test_what_a_key_file_cannot_mean_is_said_at_the_start(tmp_path: Path) -> None:
    place = tmp_path / "keys.yaml"
    place.write_text("explode: x\n")
    async with ControlPlane() as plane, dashboard(plane, keymap=keymap.load(place)) as desk:
        assert "there is no action explode" in desk.toasts()


async def test_nothing_is_asked_for_while_nothing_happens() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for view_id in ROOT_VIEWS:
                await open_view(desk, view_id)
                asked = list(plane.requests)
                for _ in range(3):
                    desk.main.view.tick()
                    await desk.pilot.pause()
                assert plane.requests == asked


async def test_what_the_filter_offers_is_there_to_be_filtered_by() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        plane.add("orphan", name="stray", host_id="")
        async with dashboard(plane) as desk:
            for view_id in ("vms", "hosts", "storage", "boot_sources", "operations", "events"):
                await open_view(desk, view_id)
                await desk.until(lambda: bool(desk.table.order.ids))
                row = desk.table.rows()[desk.table.order.ids[0]]
                assert set(desk.table.filter_words()) <= desk.table.words(row).keys()
