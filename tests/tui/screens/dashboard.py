"""A dashboard on a fake control plane: started, live, and checked for swallowed failures when it ends."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from qarax_tui.app import Options, QaraxApp
from qarax_tui.client.settings import ClientSettings
from qarax_tui.screens.form import FieldRow
from qarax_tui.screens.main import MainScreen
from qarax_tui.screens.table_view import TableView
from tests.fakes.control_plane import ControlPlane
from tests.tui.waiting import until

SIZE = (100, 30)


@dataclass(slots=True)
class Desk:
    """One operator's dashboard in a test."""

    app: QaraxApp
    pilot: Pilot[int]
    plane: ControlPlane

    @property
    def main(self) -> MainScreen:
        found = self.app.main
        assert found is not None
        return found

    @property
    def table(self) -> TableView[Any]:
        view = self.main.view
        assert isinstance(view, TableView)
        return view

    @property
    def screen(self) -> Screen[Any]:
        return self.app.screen

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.until(lambda: not self.app.keys_waiting)

    async def burst(self, *keys: str) -> None:
        """Press keys faster than they can be answered; those with a name type no character."""
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await self.pilot.pause(0)
        await self.until(lambda: not self.app.keys_waiting)

    async def type(self, text: str) -> None:
        """Write into the field that has the focus."""
        field = self.screen.focused
        assert isinstance(field, Input)
        field.value = text
        await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        await until(condition)
        await self.pilot.pause()

    def toasts(self) -> str:
        return " | ".join(toast.message for toast in self.app._notifications)

    def changes(self) -> list[tuple[str, str]]:
        """What was sent beside GET."""
        return [(method, path) for method, path in self.plane.requests if method != "GET"]

    def text(self) -> str:
        """What is on the screen, line by line."""
        return screen_text(self.app)


def screen_text(app: QaraxApp) -> str:
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line)[:width] for line in lines[:height])


@asynccontextmanager
async def dashboard(
    plane: ControlPlane, size: tuple[int, int] = SIZE, *, wait: bool = True, **options: Any
) -> AsyncIterator[Desk]:
    """A running dashboard; fails when anything inside raised."""
    options.setdefault("theme", "dark")
    app = QaraxApp(Options(settings=ClientSettings(plane.url), **options))
    async with app.run_test(size=size) as pilot:
        desk = Desk(app, pilot, plane)
        if wait:
            await desk.until(lambda: app.fleet.connection.state == "live" and app.main is not None)
            await desk.until(lambda: bool(app.main and app.main.stack))
            await pilot.pause(0.06)
        yield desk
    assert not app.failures, "".join(traceback.format_exception(app.failures[0]))


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
