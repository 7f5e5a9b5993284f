"""What reaches the clipboard: objects in every form, and what the mouse dragged over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard, open_view
from tests.tui.screens.world import furnish

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


async def test_tmux_is_given_what_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own command: as tmux comes, it takes no clipboard from programs."""
    taken = tmp_path / "taken"
    tmux = tmp_path / "tmux"
    tmux.write_text(f'#!/bin/sh\necho "$@" >{taken}.words\ncat >{taken}.new\nmv {taken}.new {taken}\n')
    tmux.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TMUX", "socket,1,0")
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("y", "down", "enter")
            await desk.until(taken.exists)
            assert taken.read_text() == "db-1"
            assert taken.with_suffix(".words").read_text().split() == ["load-buffer", "-w", "-"]


async def test_what_is_dragged_over_in_the_console_is_copied() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"login: root\r\nPassword:\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "Password:" in desk.text())
            await desk.pilot.mouse_down("#console", offset=(7, 0))
            await desk.pilot.hover("#console", offset=(3, 1))
            await desk.pilot.mouse_up("#console", offset=(3, 1))
            await desk.until(lambda: desk.app.clipboard == "root\nPass")
            assert "Copied: selection (9 characters)." in desk.toasts()
            await desk.press("escape")
            assert desk.main.view.view_id == "console"


async def test_an_event_copies_what_it_is_about() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            plane.change("vm", ids["web-2"], status="paused")
            await open_view(desk, "events")
            await desk.until(lambda: bool(desk.table.order.ids))
            await desk.press("f", "y", "down", "enter")
            await desk.until(lambda: desk.app.clipboard == "web-2")
