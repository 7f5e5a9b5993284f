"""The table shows what it is given, repaints little, and never moves the cursor to another object."""

from __future__ import annotations

import random
from dataclasses import replace

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from qarax_tui.widgets.fleet_table import FleetTable
from tests.tui.waiting import until
from tests.tui.widgets.table_app import Machine, TableApp, cursor_line, screen_lines


async def test_it_shows_a_window_of_ten_thousand_rows() -> None:
    app = TableApp(10_000)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        lines = screen_lines(app)
        assert lines[0].split()[:3] == ["Name", "Status", "Host"]
        assert "vm-00000" in lines[1]
        assert "vm-00022" in lines[23]
        await pilot.press("end")
        assert "vm-09999" in cursor_line(app)
        assert "vm-09999" in screen_lines(app)[23]
        await pilot.press("home", "pagedown")
        assert "vm-00022" in cursor_line(app)


async def test_columns_leave_by_priority_and_the_rest_shrink() -> None:
    app = TableApp(3)

    def shown() -> tuple[str, ...]:
        return app.table.visible_columns

    async with app.run_test(size=(80, 10)) as pilot:
        assert shown() == ("name", "status", "host", "note")
        await pilot.resize_terminal(60, 10)
        await until(lambda: shown() == ("name", "status", "host"))
        await pilot.resize_terminal(40, 10)
        await until(lambda: shown() == ("name", "status"))
        await pilot.resize_terminal(20, 5)
        assert shown() == ("name", "status")
        assert all(len(line) <= 20 for line in screen_lines(app))
        await pilot.press("right")
        assert "host" in app.table.visible_columns


async def test_the_cursor_follows_its_object_through_another_order() -> None:
    app = TableApp(500)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*["down"] * 30)
        assert app.table.cursor_id == "id-00030"
        before = screen_lines(app).index(cursor_line(app))
        app.show(["id-00499", "id-00498", *list(app.machines)[:-2]])
        await pilot.pause()
        assert app.table.cursor_id == "id-00030"
        assert screen_lines(app).index(cursor_line(app)) == before
        app.show(list(app.machines)[::-1])
        await pilot.pause()
        assert "vm-00030" in cursor_line(app)


async def test_when_the_object_goes_the_action_is_off_until_the_cursor_moves() -> None:
    app = TableApp(10)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*["down"] * 4)
        gone = app.machines.pop("id-00004")
        app.show()
        await pilot.pause()
        assert app.table.cursor_id is None
        assert app.table.targets() == ()
        assert cursor_line(app) == ""
        assert app.said[-1] == ("highlighted", None)
        app.table.mark_and_go_on()
        await pilot.press("enter")
        assert ("activated", "id-00005") not in app.said
        assert app.table.marked == frozenset()
        await pilot.press("down")
        assert app.table.cursor_id == "id-00005"
        app.machines[gone.id] = gone
        app.show()
        await pilot.pause()
        assert app.table.cursor_id == "id-00005"


async def test_a_filtered_object_gets_its_cursor_back() -> None:
    app = TableApp(10)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down", "down")
        app.show(["id-00007"])
        await pilot.pause()
        assert app.table.cursor_id is None
        app.show()
        await pilot.pause()
        assert app.table.cursor_id == "id-00002"


async def test_marks_follow_and_hidden_marks_are_no_targets() -> None:
    app = TableApp(6)
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.mark_and_go_on()
        app.table.mark_and_go_on()
        assert app.table.marked == {"id-00000", "id-00001"}
        app.show(["id-00005", "id-00001"])
        await pilot.pause()
        assert app.table.targets() == ("id-00001",)
        del app.machines["id-00000"]
        app.show()
        await pilot.pause()
        assert app.table.targets() == ("id-00001",)
        app.table.clear_marks()
        assert app.table.targets() == (app.table.cursor_id,)


async def test_only_cells_that_differ_are_painted() -> None:
    app = TableApp(1_000)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        painted: list[Region] = []

        def note(*regions: Region, **_: object) -> FleetTable:
            painted.extend(regions)
            return app.table

        app.table.refresh = note  # type: ignore[method-assign]
        app.machines["id-00003"] = replace(app.machines["id-00003"], status="paused")
        app.machines["id-00900"] = replace(app.machines["id-00900"], status="paused")
        app.table.update_rows(["id-00003", "id-00900", "id-00004"])
        assert len(painted) == 1
        assert (painted[0].y, painted[0].height) == (4, 1)
        assert painted[0].width < 40


async def test_what_changed_out_of_sight_is_right_when_it_is_seen_again() -> None:
    app = TableApp(100)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("end")
        app.machines["id-00003"] = replace(app.machines["id-00003"], status="paused")
        app.table.update_rows({"id-00003"})
        await pilot.press("home")
        assert "paused" in screen_lines(app)[4]


async def test_another_order_repaints_only_the_lines_that_differ() -> None:
    app = TableApp(1_000)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        painted: list[Region] = []
        refresh = app.table.refresh

        def note(*regions: Region, **options: bool) -> FleetTable:
            painted.extend(regions or [Region(0, 0, 80, 24)])
            return refresh(*regions, **options)

        app.table.refresh = note  # type: ignore[method-assign]
        ids = list(app.machines)
        app.machines["id-00005"] = replace(app.machines["id-00005"], status="paused")
        app.show([*ids[:500], *ids[501:], ids[500]])
        assert [(region.y, region.height) for region in painted] == [(6, 1)]
        app.show([*ids[:2], ids[3], ids[2], *ids[4:]])
        assert [region.y for region in painted[1:]] == [3, 4]
        await pilot.pause()
        assert [line.split()[0] for line in screen_lines(app)[3:5]] == ["vm-00003", "vm-00002"]
        app.show(ids[:5])
        await pilot.pause()
        assert screen_lines(app)[6] == ""


async def test_the_scroll_bar_comes_and_goes_without_leaving_traces() -> None:
    app = TableApp(5)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        full = app.table.render_line(1).cell_length
        app.machines.update({f"n{n}": Machine(f"n{n}", f"new-{n}") for n in range(100)})
        app.show()
        await pilot.pause()
        assert app.table.render_line(1).cell_length == full - 1
        app.show(list(app.machines)[:5])
        await pilot.pause()
        assert app.table.render_line(1).cell_length == full


async def test_figures_do_not_touch_the_scroll_bar() -> None:
    app = TableApp(100)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        last = app.table._placed[-1]
        assert app.table.show_vertical_scrollbar
        assert last.x + last.width < app.table.scrollable_content_region.width


async def test_hostile_names_are_neither_markup_nor_control() -> None:
    app = TableApp()
    for number, name in enumerate(["[/]", "[bold red]x[/bold red]", "a\x1b[2Jb\nc", "\u202eevil", "😀" * 30]):
        app.machines[str(number)] = Machine(str(number), name)
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "[/]" in text
        assert "[bold red]x" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        for y in range(10):
            strip: Strip = app.table.render_line(y)
            assert (
                sum(Segment(segment.text).cell_length for segment in strip)
                == app.table.scrollable_content_region.width
            )


async def test_the_mouse_moves_sorts_marks_and_opens() -> None:
    app = TableApp(100)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click("#vms", offset=(5, 4))
        assert app.table.cursor_id == "id-00003"
        await pilot.click("#vms", offset=(5, 4), times=2)
        assert ("activated", "id-00003") in app.said
        await pilot.click("#vms", offset=(5, 0))
        assert app.said[-1] == ("sort", "name")
        await pilot.click("#vms", offset=(5, 6), control=True)
        assert app.table.marked == {"id-00005"}


async def test_the_empty_table_says_what_to_do() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.table.empty = "No VM yet: press n to create one."
        await pilot.pause()
        assert "press n to create one" in "\n".join(screen_lines(app))
        await pilot.press("down", "up", "end", "pagedown", "enter")
        assert app.table.cursor_id is None


async def test_the_cursor_is_never_on_another_object_than_the_operator_put_it_on() -> None:
    chance = random.Random(20261122)
    app = TableApp(200)
    async with app.run_test(size=(80, 24)) as pilot:
        wanted: str | None = app.table.cursor_id
        for step in range(10_000):
            ids = list(app.machines)
            kind = chance.random()
            if kind < 0.3 and len(ids) > 50:
                del app.machines[chance.choice(ids)]
            elif kind < 0.6:
                app.machines[f"new-{step}"] = Machine(f"new-{step}", f"vm-new-{step}")
            ids = list(app.machines)
            if kind > 0.9:
                chance.shuffle(ids)
            app.show(ids)
            if app.table.cursor_id is None:
                assert wanted not in app.machines
                app.table.action_move(chance.choice([-1, 1]))
                wanted = app.table.cursor_id
            assert app.table.cursor_id == wanted
            assert app.table.targets() == (wanted,)
            if step % 500 == 0:
                await pilot.pause()
                assert app.machines[str(wanted)].name in cursor_line(app)
