"""A console view in an app of its own, on a fake control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from qarax_tui.client.api import Api
from qarax_tui.client.console import ConsoleFeed
from qarax_tui.widgets.console_messages import Followed, InputChanged, Searched, Selected
from qarax_tui.widgets.console_view import ConsoleView
from tests.fakes.console_stream import FakeConsole
from tests.fakes.control_plane import ControlPlane
from tests.tui.waiting import until

SIZE = (80, 24)


class ConsoleApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.view = ConsoleView(id="console")
        self.followed: tuple[bool, int] = (True, 0)
        self.sentences: list[str] = []
        self.inputs: list[tuple[bool, str]] = []
        self.selected: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.view

    def on_mount(self) -> None:
        self.view.focus()

    @on(ConsoleView.Followed)
    def _followed(self, event: Followed) -> None:
        self.followed = (event.follow, event.behind)

    @on(ConsoleView.Searched)
    def _searched(self, event: Searched) -> None:
        self.sentences.append(event.sentence)

    @on(ConsoleView.InputChanged)
    def _input(self, event: InputChanged) -> None:
        self.inputs.append((event.state.attached, event.state.holder))

    @on(ConsoleView.Selected)
    def _selected(self, event: Selected) -> None:
        self.selected.append(event.text)

    def lines(self) -> list[str]:
        width = self.view.scrollable_content_region.width
        strips = self.screen._compositor.render_strips()
        return [strip.crop(0, width).text.rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines())


Shown = tuple[Pilot[None], ConsoleApp, FakeConsole]


@asynccontextmanager
async def shown(written: bytes = b"", ring_bytes: int = 32 * 2**20) -> AsyncIterator[Shown]:
    async with ControlPlane() as plane, Api(plane.url) as api:
        vm = plane.add("vm", status="running")
        console = plane.console(vm)
        console.write(written)
        app = ConsoleApp()
        async with app.run_test(size=SIZE) as pilot:
            feed = ConsoleFeed(api, vm, ring_bytes)
            await feed.start()
            app.view.open(feed)
            await until(lambda: feed.state == "live" and feed.ring.end_offset == console.end)
            await pilot.pause(0.1)
            yield pilot, app, console
            app.view.close()
            await feed.stop()


def numbered(count: int) -> bytes:
    return b"".join(b"line %06d\r\n" % number for number in range(count))
