"""The console view follows, looks back, searches, filters, saves and types, and paints nothing unsafe."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from qarax_tui.client.api import Api
from qarax_tui.client.console import ConsoleFeed
from qarax_tui.client.matching import PatternError
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


async def test_it_follows_the_end() -> None:
    async with shown(numbered(100)) as (_, app, console):
        assert app.lines()[23] == "line 000099"
        console.write(b"one more\r\nlogin: ")
        await until(lambda: app.lines()[23] == "login: ".rstrip())
        assert app.lines()[22] == "one more"
        assert app.view.follow


async def test_scrolling_up_stops_following_and_says_how_far_behind() -> None:
    async with shown(numbered(100)) as (pilot, app, console):
        await pilot.press("up", "up", "up")
        assert app.lines()[23] == "line 000096"
        await until(lambda: app.followed == (False, 3))
        top = app.lines()[0]
        console.write(numbered(50))
        await until(lambda: app.followed == (False, 53))
        assert app.lines()[0] == top
        await pilot.press("end")
        await until(lambda: app.view.follow)
        await until(lambda: app.lines()[23] == "line 000049")
        await pilot.press("pageup", "pagedown")
        assert app.view.follow


async def test_scrolling_up_brings_history_and_keeps_the_line_in_place() -> None:
    async with shown(numbered(200_000)) as (pilot, app, _):
        assert app.view.feed is not None
        first = app.view.feed.ring.first
        await pilot.press(*["pageup"] * 40)
        top = app.lines()[0]
        await until(lambda: app.view.feed is not None and app.view.feed.ring.first < first)
        await pilot.pause(0.1)
        assert app.lines()[0] == top
        await pilot.press("home")
        await until(lambda: app.lines()[0] == "line 000000")


async def test_search_goes_through_matches_and_says_when_there_are_none() -> None:
    written = numbered(300) + b"Kernel panic - not syncing\n" + numbered(300)
    async with shown(written) as (pilot, app, _):
        app.view.search("panic", backwards=True)
        await until(lambda: "Kernel panic" in app.text)
        assert not app.view.follow
        app.view.next_match()
        await until(lambda: bool(app.sentences))
        assert "panic" in app.sentences[-1]
        app.view.previous_match()
        await until(lambda: len(app.sentences) == 2)
        app.view.search("LINE")
        await until(lambda: len(app.sentences) == 3)
        app.view.search(r"line 0000(10|20)$", regex=True, backwards=True)
        await until(lambda: "line 000020" in app.text or "line 000010" in app.text)
        with pytest.raises(PatternError):
            app.view.search("(", regex=True)
        await pilot.pause()


async def test_a_search_goes_back_through_history_and_says_where_it_ended() -> None:
    written = b"a needle\n" + numbered(200_000)
    async with shown(written) as (_, app, _):
        assert app.view.feed is not None
        assert app.view.feed.ring.size < 100_000
        app.view.search("needle", backwards=True)
        await until(lambda: app.lines()[0] == "a needle")
        app.view.next_match()
        await until(lambda: app.sentences == ["No more “needle” below."])
        app.view.search("line 199999")
        await until(lambda: "line 199999" in app.text)
        app.view.next_match()
        await until(lambda: len(app.sentences) == 2)
        app.view.search("line 000001", backwards=False)
        await until(lambda: app.sentences[-1] == "No more “line 000001” below, but above.")


async def test_a_search_that_comes_to_the_end_of_its_room_says_that_the_log_goes_on() -> None:
    async with shown(numbered(200_000), ring_bytes=2**20) as (_, app, _):
        app.view.search("needle", backwards=True)
        await until(lambda: app.sentences == ["No more “needle” in the 1 MiB around here; the log goes on."])
        assert app.view.follow
        assert "line 199999" in app.text


async def test_a_filter_finds_what_was_not_loaded_yet() -> None:
    async with shown(b"a needle\n" + numbered(100_000) + b"another needle\n") as (_, app, _):
        app.view.set_filter("needle")
        await until(lambda: app.lines()[:2] == ["a needle", "another needle"])
        assert app.view.follow


async def test_a_filter_shows_matches_with_context_and_follows() -> None:
    written = numbered(100) + b"error: one\n" + numbered(100) + b"error: two\n" + numbered(5)
    async with shown(written) as (pilot, app, console):
        app.view.set_filter("error", context=1)
        await until(lambda: app.lines()[:4] == ["line 000099", "error: one", "line 000000", "line 000099"])
        assert app.view.filter_pattern == "error"
        console.write(b"ERROR three\n")
        await until(lambda: "ERROR three" in app.text)
        app.view.set_filter("")
        await pilot.pause(0.1)
        assert app.lines()[23] == "ERROR three"


async def test_a_filter_put_on_far_down_still_fills_the_window() -> None:
    async with shown(numbered(400)) as (pilot, app, _):
        await pilot.press("up")
        app.view.set_filter("00003")
        await until(lambda: app.view.filter_pattern == "00003" and app.lines()[0] == "line 000003")
        assert app.lines()[10] == "line 000039"


async def test_long_lines_wrap_or_are_looked_at_sideways() -> None:
    async with shown(b"a" * 100 + b"b" * 100 + "日本".encode() * 50 + b"end\n") as (pilot, app, _):
        assert app.lines()[0] == "a" * (SIZE[0] - 1)
        await pilot.press("right", "right", "right")
        assert "b" * 50 in app.lines()[0]
        app.view.wrap = True
        await pilot.pause()
        joined = "".join(app.lines())
        assert joined.startswith("a" * 100 + "b" * 100 + "日本")
        assert "end" in joined


async def test_a_megabyte_line_does_not_stall() -> None:
    async with shown() as (pilot, app, console):
        console.write(b"x" * 2**20 + b"\ndone\n")
        started = time.monotonic()
        await until(lambda: "done" in app.text)
        assert time.monotonic() - started < 3
        app.view.wrap = True
        for key in ("up", "pageup", "home", "end"):
            started = time.monotonic()
            await pilot.press(key)
            await pilot.pause()
            assert time.monotonic() - started < 1


async def test_times_and_markers() -> None:
    async with shown() as (pilot, app, console):
        console.mark("boot", "kernel 6.1", seconds=1_700_000_000)
        console.write(b"hello\n")
        console.lose(10)
        await until(lambda: "gap: 10 bytes" in app.text)
        assert "boot" in app.lines()[0]
        app.view.show_times = True
        await pilot.pause()
        assert app.lines()[1] == time.strftime("%H:%M:%S hello", time.localtime(1_700_000_000))


async def test_keys_go_to_the_guest_in_order_until_the_operator_leaves() -> None:
    async with shown() as (pilot, app, console):
        app.view.claim()
        await until(lambda: app.inputs[-1:] == [(True, "you")])
        await pilot.press(*"ls -l", "enter", "up", "ctrl+c", "escape", "tab", "backspace", "q")
        await until(lambda: bytes(console.received) == b"ls -l\r\x1b[A\x03\x1b\t\x7fq")
        await pilot.press("ctrl+right_square_bracket")
        await until(lambda: app.inputs[-1:] == [(False, "")])
        await pilot.press("z")
        assert bytes(console.received).endswith(b"q")


async def test_keys_typed_before_the_claim_is_answered_wait_for_the_answer() -> None:
    async with shown() as (pilot, app, console):
        console.answering.clear()
        app.view.claim()
        await pilot.press(*"poweroff", "enter")
        assert app.view.feed is not None
        assert app.view.feed.input.asked
        assert not console.received
        console.answering.set()
        await until(lambda: bytes(console.received) == b"poweroff\r")


async def test_keys_typed_into_a_claim_that_is_refused_go_nowhere() -> None:
    async with shown() as (pilot, app, console):
        console.answering.clear()
        console.holder = "ann"
        app.view.claim()
        await pilot.press(*"poweroff", "enter")
        console.answering.set()
        await until(lambda: app.inputs[-1:] == [(False, "ann")])
        assert app.view.input_mode
        app.view.claim(takeover=True)
        await until(lambda: app.inputs[-1:] == [(True, "you")])
        await pilot.press("x")
        await until(lambda: bytes(console.received) == b"x")


async def test_hostile_output_reaches_the_screen_as_text_only() -> None:
    hostile = (
        b"\x1b]52;c;cm0=\x07\x1b[2J\x1b[6n\x1bP1$r\x1b\\[/][bold]" + "\u202e\u009b2J".encode() + b"\xc2\x9b\n"
    )
    async with shown(hostile * 30) as (_, app, _console):
        await until(lambda: "[/][bold]" in app.text)
        assert all(character.isprintable() or character == "\n" for character in app.text)
        assert "\u202e" not in app.text


async def test_it_goes_on_while_the_terminal_shrinks_and_grows() -> None:
    async with shown(numbered(500)) as (pilot, app, console):
        for size in ((20, 5), (160, 50), (5, 1), (80, 24)):
            await pilot.resize_terminal(*size)
            console.write(b"resized\n")
            await pilot.pause(0.1)
        await until(lambda: app.lines()[23] == "resized")


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> None:
    await pilot.mouse_down("#console", offset=start)
    await pilot.hover("#console", offset=end)
    await pilot.mouse_up("#console", offset=end)


async def test_a_selection_is_characters_of_lines_however_they_are_shown() -> None:
    async with shown("日本 one\n".encode() + b"a" * 90 + b"bcd\n" + b"two\n") as (pilot, app, _):
        await drag(pilot, (2, 0), (4, 0))
        assert app.selected == ["本 "]
        await drag(pilot, (1, 2), (7, 0))
        assert app.selected[-1] == f"e\n{'a' * 90}bcd\ntw"
        app.view.show_times = True
        app.view.wrap = True
        await pilot.pause()
        await drag(pilot, (9 + 20, 2), (9 + 1, 3))
        assert app.selected[-1] == "bcd\ntw"
        app.view.show_times = app.view.wrap = False
        await pilot.press("right", "right")
        await drag(pilot, (0, 1), (79, 1))
        assert app.selected[-1] == "a" * 12 + "bcd"


async def test_a_selection_stays_on_its_text_and_goes_with_a_click() -> None:
    async with shown(numbered(30)) as (pilot, app, console):
        await drag(pilot, (5, 22), (10, 22))
        assert app.selected == ["000028"]
        console.write(b"more\n")
        await until(lambda: app.lines()[23] == "more")
        assert app.view.selected_text() == "000028"
        await pilot.mouse_down("#console", offset=(0, 5))
        await pilot.hover("#console", offset=(0, 0))
        await pilot.mouse_up("#console", offset=(0, 0))
        assert app.selected[-1].splitlines()[0] == app.lines()[0]
        await pilot.click("#console", offset=(3, 3))
        assert app.view.selected_text() == ""
