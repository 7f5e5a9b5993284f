"""What is selected in the console view with the mouse."""

from __future__ import annotations

from textual.pilot import Pilot

from tests.tui.waiting import until
from tests.tui.widgets.console_app import numbered, shown


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
