"""What can be done, from wherever one looks for it: `:` and its completion, the palette, help."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from qarax_tui.keys import ROOT_VIEWS, for_view
from qarax_tui.screens.commands import completions
from qarax_tui.screens.help import Help
from qarax_tui.screens.palette import ActionProvider
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import furnish


@pytest.mark.parametrize(
    ("typed", "view_id"),
    [
        ("hosts", "hosts"),
        ("ev", "events"),
        ("vms status=running", "vms"),
        ("vm web-2", "vm"),
        ("log", "actions"),
    ],
)
async def test_commands_go_places(typed: str, view_id: str) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("colon")
            await desk.type(typed)
            await desk.press("enter")
            await desk.until(lambda: desk.main.view.view_id == view_id)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ho", "hosts"),
        ("vms st", "vms status=running"),
        ("vms host=b", "vms host=beta"),
        ("vm web-", "vm web-2"),
        ("theme l", "theme light"),
        ("sort me", "sort memory"),
    ],
)
async def test_tab_completes_a_command(typed: str, completed: str) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("colon")
            line = desk.main.query_one("#prompt-input", Input)
            await desk.type(typed)
            await desk.until(lambda: line._suggestion == completed)
            await desk.press("tab")
            assert line.value == completed


async def test_an_unknown_command_is_said_and_keeps_the_line() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await desk.press("colon")
        await desk.type("explode")
        await desk.press("enter")
        assert "There is no command explode" in desk.text()
        await desk.press("s", "t", "escape")
        assert desk.changes() == []


async def test_a_name_after_a_verb_does_not_start_the_vm_under_the_cursor() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            desk.table.set_filter("status=shutdown")
            await desk.press("g", "colon")
            await desk.type("start web-2")
            await desk.press("enter")
            assert ":start takes no word, it acts under the cursor." in desk.text()
            assert desk.changes() == []


async def test_help_lists_every_key_of_the_view() -> None:
    async with ControlPlane() as plane, dashboard(plane, (120, 40)) as desk:
        await desk.press("question_mark")
        assert isinstance(desk.screen, Help)
        for words in ("Power button, then force", "Its serial console", "Read-only", "Palette"):
            assert words in desk.text()


async def test_help_says_what_read_only_mode_turns_off() -> None:
    async with ControlPlane() as plane, dashboard(plane, (120, 40)) as desk:
        await desk.press("question_mark")
        assert "dim is off" not in desk.text()
        await desk.press("escape", "L", "question_mark")
        assert "dim is off: read-only" in desk.text()


async def test_the_palette_finds_a_vm() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("ctrl+p")
            await desk.pilot.press(*"web-2")
            await desk.until(lambda: "web-2" in desk.text() and "its details" in desk.text())


async def test_commands_with_a_word_do_what_they_say() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await command(desk, "sort memory")
            assert desk.table.sort_column == "memory"
            await command(desk, "filter host=alpha")
            assert {desk.app.fleet.vms[one].host_id for one in desk.table.order.ids} == {
                next(host.id for host in desk.app.fleet.hosts.values() if host.name == "alpha")
            }
            await command(desk, "theme light")
            assert desk.app.theme == "qarax-light"


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("sort colour", "There is no column colour here."),
        ("vm nobody", "There is no VM nobody."),
        ("theme pink", "Themes: dark, light, colour-blind, 16."),
    ],
)
async def test_a_word_that_means_nothing_is_said(typed: str, complaint: str) -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await command(desk, typed)
        assert complaint in desk.text()


async def command(desk: Desk, typed: str) -> None:
    await desk.press("colon")
    await desk.type(typed)
    await desk.press("enter")


@pytest.mark.parametrize("view_id", ROOT_VIEWS)
async def test_every_action_of_a_view_can_be_typed_and_is_in_its_help(view_id: str) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (160, 60)) as desk:
            await desk.main.show_root(view_id)
            applying = for_view(view_id)
            assert {action.command for action in applying} <= set(completions(desk.main))
            await desk.press("question_mark")
            await desk.until(lambda: isinstance(desk.screen, Help))
            for action in applying:
                assert (action.label if "*" in action.views else action.help) in desk.text()


@pytest.mark.parametrize("view_id", ROOT_VIEWS)
async def test_the_palette_offers_what_can_be_done_here_and_nothing_else(view_id: str) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.main.show_root(view_id)
            await desk.pilot.pause()
            offered = [hit.text async for hit in ActionProvider(desk.screen).discover()]
            assert offered == [action.label for action in desk.main.available()]
            assert "Filter" in offered or view_id == "pulse"
