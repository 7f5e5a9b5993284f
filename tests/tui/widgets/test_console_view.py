"""The console view follows, looks back, wraps and saves, and paints nothing unsafe."""

from __future__ import annotations

import time

from tests.tui.waiting import until
from tests.tui.widgets.console_app import SIZE, numbered, shown


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
