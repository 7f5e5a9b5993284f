"""Every view in every theme as a picture, at a small and a large size, compared with the one looked at.

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
from qarax_tui.screens import vm
from qarax_tui.screens.welcome import Welcome
from qarax_tui.themes import DARK, THEMES
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import NOW, furnish, record

FOLDER = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (160, 50))
LOOKS = {theme.name.removeprefix("qarax-"): theme.name for theme in THEMES}
ROOT_KEYS = dict(zip("1234567", ROOT_VIEWS, strict=True))
BULK = re.compile(
    r'<clipPath id="terminal-line.*?</clipPath>\s*| clip-path="url\(#terminal-line-\d+\)"'
    r"|<text [^>]*>\n</text>",
    re.DOTALL,
)
"""A third of each file, and nothing that can be seen."""
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
    """Data is a second old and load was sampled once, however long the pictures take."""
    monkeypatch.setattr(vm, "_SAMPLE_SECONDS", 3600)
    monkeypatch.setattr(Connection, "age", property(lambda self: None if self.state == "connecting" else 1.0))


def _stable(app: QaraxApp) -> str:
    svg = portable(app.export_screenshot(title="qarax", simplify=True))
    svg = BULK.sub("", re.sub(r"terminal-\d+", "terminal", svg))
    return re.sub(r"127\.0\.0\.1:\d{5}", "127.0.0.1:18000", svg)


class Album:
    """Takes one picture after the other, each in every look; `complaints` says which differ."""

    def __init__(self, desk: Desk, looks: dict[str, str], folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.looks = list(looks.items())
        self.complaints: list[str] = []

    async def take(self, name: str, shows: str = "", *, leave: bool = False) -> None:
        """Pictures of what is open, as soon as it shows this text; `leave` closes it afterwards."""
        await self._settled(shows)
        for look, theme in self.looks:
            self.desk.app.theme = theme
            await self.desk.pilot.pause(0)
            self._compare(name, look)
        self.looks.reverse()  # the theme that is on now comes first in the next one
        if leave:
            await self.desk.burst("escape")

    async def _settled(self, shows: str) -> None:
        await self.desk.until(lambda: shows in self.desk.text())
        for field in self.desk.screen.query(Input):
            field.cursor_blink = False
        await self.desk.pilot.wait_for_scheduled_animations()

    def _compare(self, view: str, look: str) -> None:
        app = self.desk.app
        name = f"{view}-{look}-{app.size.width}x{app.size.height}"
        kept, drawn = FOLDER / f"{name}.svg", _stable(app)
        if os.environ.get("SNAPSHOTS") == "write":
            kept.write_text(drawn, encoding="utf-8")
        elif not kept.exists() or drawn != kept.read_text(encoding="utf-8"):
            new = self.folder / kept.name
            new.write_text(drawn, encoding="utf-8")
            what = "looks different" if kept.exists() else "was never kept"
            self.complaints.append(f"{name} {what}: look at {new}, then run with SNAPSHOTS=write.")

    @property
    def first(self) -> str:
        return next(iter(self.desk.plane.resources["vm"]))

    async def lists(self) -> None:
        await self.desk.burst("space", "down")
        for key, view_id in ROOT_KEYS.items():
            await self.desk.burst(key)
            await self.take(view_id)
        await self.desk.burst("8")
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
        await self.desk.burst("H")
        await self.take("actions", leave=True)
        await self.desk.burst("1", "A")

    async def pages(self) -> None:
        press = self.desk.burst
        await press("1", "g", "enter")
        await self.take("vm", "96 MiB", leave=True)
        await press("c")
        await self.desk.until(lambda: "connecting" not in self.desk.text())
        await self.take("console", "line 59")
        await press("slash", *"boot", "enter")
        await self.take("found", "not following")
        await press("escape", "escape")
        await press("2", "enter")
        await self.take("host", "it stands in", leave=True)

    async def dialogs(self) -> None:
        press = self.desk.burst
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

    async def palette(self) -> None:
        """Opened anew for each theme: Textual does not restyle it while it is open."""
        for look, theme in self.looks:
            self.desk.app.theme = theme
            await self.desk.burst("ctrl+p")
            await self._settled("Create a VM")
            self._compare("palette", look)
            await self.desk.burst("escape")
        self.looks.reverse()

    async def report(self) -> None:
        """All that run are to be rebooted, and one is refused."""
        press, plane = self.desk.burst, self.desk.plane
        refused = next(vm for vm in plane.resources["vm"].values() if vm["name"] == "db-1")
        why = {"message": "db-1 is being stopped by anna; wait until that has ended.", "code": "busy"}
        plane.refuse("POST", f"/vms/{refused['id']}/reboot", 409, why)
        await press("a", "R", "y")
        await self.take("report", "1 failed", leave=True)
        await press("A")

    async def welcome(self) -> None:
        await self.desk.app.push_screen(Welcome(self.desk.app.options.keymap))
        await self.take("welcome", leave=True)

    async def away(self) -> None:
        await self.desk.plane.kill()
        await self.take("away", "Nothing answers")


@asynccontextmanager
async def album(folder: Path, size: tuple[int, int], looks: dict[str, str]) -> AsyncIterator[Album]:
    """A furnished dashboard whose clock stands still; fails in the end when a picture differed."""
    async with ControlPlane(heartbeat=0.5) as plane:
        ids = furnish(plane)
        record(plane)
        plane.console(ids["db-1"]).write(LINES)
        async with dashboard(plane, size, now=lambda: NOW) as desk:
            await desk.until(lambda: bool(desk.app.fleet.events) and "● live" in desk.text())
            pictures = Album(desk, looks, folder)
            yield pictures
    assert not pictures.complaints, "\n".join(pictures.complaints)


async def _every_view(folder: Path, size: tuple[int, int], looks: dict[str, str]) -> None:
    async with album(folder, size, looks) as pictures:
        await pictures.lists()
        await pictures.pages()
        await pictures.dialogs()
        await pictures.palette()
        await pictures.report()
        await pictures.welcome()
        await pictures.away()


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_every_view_in_every_theme(size: tuple[int, int], tmp_path: Path) -> None:
    await _every_view(tmp_path, size, LOOKS)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_every_view_without_colour(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await _every_view(tmp_path, size, {"no-colour": DARK.name})
