"""Search and filter in the console view, over history too."""

from __future__ import annotations

import pytest

from qarax_tui.client.matching import PatternError
from tests.tui.waiting import until
from tests.tui.widgets.console_app import numbered, shown


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
