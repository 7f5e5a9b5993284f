"""Hosts, storage, boot sources, operations: forms, questions, what is sent; mouse and clipboard."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from textual.widgets import Input

from qarax_tui.screens.copying import put_on_clipboard
from qarax_tui.screens.form import FieldRow
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import furnish


async def open_view(desk: Desk, view_id: str) -> None:
    await desk.main.show_root(view_id)
    await desk.pilot.pause()


async def fill(desk: Desk, **values: str) -> None:
    for row in desk.screen.query(FieldRow):
        if row.field.name in values:
            row.query_one(Input).value = values[row.field.name]
    await desk.pilot.pause()


def sent(plane: ControlPlane, path: str) -> Any:
    return [body for _, one, body in plane.bodies if one == path][-1]


async def test_a_host_is_registered_and_taken_up() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await open_view(desk, "hosts")
        await desk.press("n")
        await fill(desk, name="delta", address="10.0.0.14")
        await desk.press("ctrl+s")
        await desk.until(lambda: getattr(desk.table.current(), "name", "") == "delta")
        body = {"name": "delta", "address": "10.0.0.14", "port": 50051, "host_user": "root"}
        assert sent(plane, "/hosts") == body
        await desk.press("u")
        await desk.until(lambda: "● up" in desk.text())


async def test_taking_a_host_down_asks() -> None:
    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up")
        async with dashboard(plane) as desk:
            await open_view(desk, "hosts")
            await desk.press("d")
            assert "Take alpha down?" in desk.text()
            await desk.press("y")
            await desk.until(lambda: desk.app.fleet.hosts[host].status == "down")


async def test_a_pool_is_made_and_a_transfer_into_it_started() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await open_view(desk, "storage")
        await desk.press("n")
        await fill(desk, name="images", path="/srv/images")
        await desk.press("ctrl+s")
        await desk.until(lambda: len(desk.app.fleet.storage_pools) == 1)
        await desk.until(lambda: desk.table.current() is not None)
        assert sent(plane, "/storage-pools") == {
            "name": "images", "pool_type": "local", "config": {"path": "/srv/images"},
        }  # fmt: skip
        await desk.press("t")
        await fill(desk, source="https://images.example.org/debian.raw", name="debian.raw")
        await desk.press("ctrl+s")
        await desk.until(lambda: len(desk.app.fleet.transfers) == 1)
        assert "debian.raw" in desk.text()


async def test_a_transfer_shows_its_progress() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "storage")
            await desk.until(lambda: "████···· 50%" in " ".join(desk.text().split()))
            transfer = next(iter(plane.resources["transfer"]))
            plane.change("transfer", transfer, transferred_bytes=2**31, status="completed")
            await desk.until(lambda: "● completed" in desk.text())


async def test_a_boot_source_is_made_of_objects() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "boot_sources")
            await desk.press("n")
            await fill(desk, name="other")
            await desk.press("ctrl+s")
            await desk.until(lambda: "This is needed." in desk.text())


async def test_a_failed_operation_is_done_again() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "operations")
            failed = next(one for one in desk.app.fleet.operations.values() if one.status == "failed")
            desk.table.table.move_to(failed.id)
            await desk.press("r")
            await desk.until(lambda: ("POST", f"/vms/{ids[failed.subject_name]}/start") in desk.changes())


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


COPIED = (
    "00000000-0000",
    "db-1",
    "curl -fsS http",
    '"boot_vcpus": 1',
    "boot_vcpus: 1",
    "-X POST",
    '"payload"',
)


async def test_a_vm_is_copied_in_every_form() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for steps, part in enumerate(COPIED):
                await desk.press("y", *["down"] * steps, "enter")
                await desk.until(lambda part=part: part in desk.app.clipboard)  # type: ignore[misc]


async def test_the_clipboard_passes_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "socket,1,0")
    async with ControlPlane() as plane, dashboard(plane) as desk:
        written: list[str] = []
        assert desk.app._driver is not None
        monkeypatch.setattr(desk.app._driver, "write", written.append)
        put_on_clipboard(desk.app, "web-1")
        encoded = base64.b64encode(b"web-1").decode()
        assert f"\x1bPtmux;\x1b\x1b]52;c;{encoded}\a\x1b\\" in written


async def test_themes_change_at_once() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await desk.press("T")
        assert desk.app.theme == "qarax-light"
        await desk.press("colon")
        await desk.type("theme colour-blind")
        await desk.press("enter")
        assert desk.app.theme == "qarax-colour-blind"
