"""Every view as a picture, compared with the one that was looked at.

A picture that differs is written to the test's own folder; `SNAPSHOTS=write` takes the new ones over.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input

from qarax_tui.app import QaraxApp
from qarax_tui.keys import ROOT_VIEWS
from qarax_tui.picture import portable
from qarax_tui.screens.welcome import Welcome
from qarax_tui.themes import THEMES
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import NOW, furnish, record

FOLDER = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (160, 50))
PAGES = {
    "vm": ("enter",),
    "host": ("2", "enter"),
    "edit": ("down", "down", "down", "e"),
    "create": ("n",),
    "help": ("question_mark",),
    "delete": ("D",),
    "copy": ("y",),
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _stable(app: QaraxApp) -> str:
    svg = portable(app.export_screenshot(title="qarax"))
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return re.sub(r"127\.0\.0\.1:\d{5}", "127.0.0.1:18000", svg)


def _compare(app: QaraxApp, name: str, elsewhere: Path) -> None:
    kept, drawn = FOLDER / f"{name}.svg", _stable(app)
    if os.environ.get("SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        kept.write_text(drawn, encoding="utf-8")
        return
    new = elsewhere / f"{name}.svg"
    new.write_text(drawn, encoding="utf-8")
    assert kept.exists(), f"No picture {name} was kept. Look at {new}, then run with SNAPSHOTS=write."
    assert drawn == kept.read_text(encoding="utf-8"), f"{name} looks different: see {new}."


async def _settle(desk: Desk) -> None:
    for field in desk.screen.query(Input):
        field.cursor_blink = False
    await desk.pilot.pause()
    await desk.pilot.wait_for_scheduled_animations()


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
async def test_every_view(size: tuple[int, int], tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        record(plane)
        async with dashboard(plane, size, now=lambda: NOW) as desk:
            await desk.until(lambda: bool(desk.app.fleet.events))
            for view_id in ROOT_VIEWS:
                await desk.main.show_root(view_id)
                await _settle(desk)
                _compare(desk.app, f"{view_id}-{size[0]}x{size[1]}", tmp_path)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
@pytest.mark.parametrize("page", PAGES)
async def test_every_page(page: str, size: tuple[int, int], tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, size, now=lambda: NOW) as desk:
            await desk.press(*PAGES[page])
            wanted = {
                "vm": "it stands in for Cloud",
                "host": "it stands in",
                "edit": "Save",
                "create": "● beta",
            }.get(page, "")
            await desk.until(lambda: wanted in desk.text())
            await _settle(desk)
            _compare(desk.app, f"{page}-{size[0]}x{size[1]}", tmp_path)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
async def test_the_console(size: tuple[int, int], tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        lines = b"".join(b"[%8.6f] line %d of the boot\r\n" % (number / 7, number) for number in range(60))
        plane.console(ids["db-1"]).write(lines)
        async with dashboard(plane, size, now=lambda: NOW) as desk:
            await desk.press("c")
            await desk.until(lambda: "line 59" in desk.text())
            await desk.until(lambda: "connecting" not in desk.text())
            await _settle(desk)
            _compare(desk.app, f"console-{size[0]}x{size[1]}", tmp_path)


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_every_theme(theme: str, tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (100, 30), now=lambda: NOW, theme=theme) as desk:
            await desk.press("space", "down")
            await _settle(desk)
            _compare(desk.app, f"theme-{theme}", tmp_path)
            await desk.main.show_root("hosts")
            await _settle(desk)
            _compare(desk.app, f"theme-{theme}-hosts", tmp_path)


async def test_no_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (100, 30), now=lambda: NOW) as desk:
            await _settle(desk)
            _compare(desk.app, "theme-no-colour", tmp_path)


async def test_what_comes_rarely(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (100, 30), now=lambda: NOW) as desk:
            await desk.app.push_screen(Welcome(desk.app.options.keymap))
            await _settle(desk)
            _compare(desk.app, "welcome", tmp_path)
