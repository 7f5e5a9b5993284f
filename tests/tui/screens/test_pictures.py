"""Every view as a picture, compared with the one that was looked at.

A picture that differs is written to the test's own folder; `SNAPSHOTS=write` takes the new ones over.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Input

from qarax_tui.app import QaraxApp
from qarax_tui.client.connection import Connection
from qarax_tui.client.transport import OwnAction
from qarax_tui.keys import ROOT_VIEWS
from qarax_tui.picture import portable
from qarax_tui.screens.welcome import Welcome
from qarax_tui.themes import THEMES
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import NOW, furnish, record

FOLDER = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (160, 50))
PLAIN = (100, 30)
ROOT_KEYS = dict(zip("1234567", ROOT_VIEWS, strict=True))
LINES = b"".join(b"[%8.6f] line %d of the boot\r\n" % (number / 7, number) for number in range(60))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is one second old, for a longer number makes a longer banner."""
    monkeypatch.setattr(Connection, "age", property(lambda self: None if self.state == "connecting" else 1.0))


def _stable(app: QaraxApp) -> str:
    svg = portable(app.export_screenshot(title="qarax"))
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r">▁+ *<", ">▁<", svg)  # so many samples came until now
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


class Album:
    """Takes one picture after the other; without a `suffix` one in every theme but the first."""

    def __init__(self, desk: Desk, suffix: str, folder: Path) -> None:
        self.desk, self.suffix, self.folder = desk, suffix, folder

    async def take(self, name: str, shows: str = "", *, leave: bool = False) -> None:
        """A picture of what is open, as soon as it shows this text; `leave` closes it afterwards."""
        desk = self.desk
        await desk.until(lambda: shows in desk.text())
        for field in desk.screen.query(Input):
            field.cursor_blink = False
        await desk.pilot.pause()
        await desk.pilot.wait_for_scheduled_animations()
        if self.suffix:
            _compare(desk.app, f"{name}-{self.suffix}", self.folder)
        for theme in () if self.suffix else THEMES[1:]:
            desk.app.theme = theme.name
            await desk.pilot.pause()
            _compare(desk.app, f"{name}-{theme.name.removeprefix('qarax-')}", self.folder)
        if leave:
            await desk.press("escape")

    @property
    def first(self) -> str:
        return next(iter(self.desk.plane.resources["vm"]))

    async def lists(self) -> None:
        for key, view_id in ROOT_KEYS.items():
            await self.desk.press(key)
            await self.take(view_id)
        await self.desk.press("8")
        await self.take("orphans", leave=True)
        self.desk.app.api.actions.append(
            OwnAction(
                NOW - 40,
                "POST",
                f"/vms/{self.first}/stop",
                f"curl -fsS -X POST {self.desk.plane.url}/vms/{self.first}/stop",
                "ok",
                4.1,
                "1",
            )
        )
        await self.desk.press("H")
        await self.take("actions", leave=True)

    async def pages(self) -> None:
        press = self.desk.press
        await press("1", "g", "enter")
        await self.take("vm", "it stands in for Cloud", leave=True)
        await press("c")
        await self.desk.until(lambda: "connecting" not in self.desk.text())
        await self.take("console", "line 59", leave=True)
        await press("2", "enter")
        await self.take("host", "it stands in", leave=True)

    async def dialogs(self) -> None:
        press = self.desk.press
        await press("1", "g")
        for name, key, shows in (
            ("help", "question_mark", ""),
            ("create", "n", "● beta"),
            ("delete", "D", ""),
            ("copy", "y", ""),
        ):
            await press(key)
            await self.take(name, shows, leave=True)
        await press("down", "down", "down", "e")
        await self.take("edit", "Save", leave=True)
        await press("slash", *"web")
        await self.take("filter")
        await press("escape")

    async def report(self) -> None:
        """All that run are to be rebooted, and one is refused."""
        press, plane = self.desk.press, self.desk.plane
        refused = next(vm for vm in plane.resources["vm"].values() if vm["name"] == "db-1")
        why = {"message": "db-1 is being stopped by anna; wait until that has ended.", "code": "busy"}
        plane.refuse("POST", f"/vms/{refused['id']}/reboot", 409, why)
        await press("a", "R", "y")
        await self.take("report", "1 failed", leave=True)
        await press("A")

    async def away(self) -> None:
        await self.desk.plane.kill()
        await self.take("away", "Trying again")


@asynccontextmanager
async def album(folder: Path, size: tuple[int, int], suffix: str = "") -> AsyncIterator[Album]:
    """A furnished dashboard whose clock stands still."""
    async with ControlPlane(heartbeat=0.5) as plane:
        ids = furnish(plane)
        record(plane)
        plane.console(ids["db-1"]).write(LINES)
        async with dashboard(plane, size, now=lambda: NOW) as desk:
            await desk.until(lambda: bool(desk.app.fleet.events) and "● live" in desk.text())
            yield Album(desk, suffix, folder)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
async def test_every_view(size: tuple[int, int], tmp_path: Path) -> None:
    async with album(tmp_path, size, f"{size[0]}x{size[1]}") as pictures:
        await pictures.lists()
        await pictures.pages()
        await pictures.dialogs()
        await pictures.report()
        await pictures.away()


@pytest.mark.faults
async def test_every_view_in_every_theme(tmp_path: Path) -> None:
    async with album(tmp_path, PLAIN) as pictures:
        await pictures.desk.press("space", "down")
        await pictures.lists()
        await pictures.desk.press("1", "A")
        await pictures.pages()
        await pictures.dialogs()
        await pictures.report()
        await pictures.away()


async def test_no_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with album(tmp_path, PLAIN, "no-colour") as pictures:
        await pictures.lists()
        await pictures.pages()


async def test_the_first_start(tmp_path: Path) -> None:
    for size in SIZES:
        async with album(tmp_path, size, f"{size[0]}x{size[1]}") as pictures:
            await pictures.desk.app.push_screen(Welcome(pictures.desk.app.options.keymap))
            await pictures.take("welcome")
