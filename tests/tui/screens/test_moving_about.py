"""Views, breadcrumbs, filters, sorting, jumps: where one goes and how one comes back."""

from __future__ import annotations

from textual.strip import Strip

from qarax_tui.keys import ROOT_VIEWS
from qarax_tui.screens.console import ConsolePage
from qarax_tui.screens.table_view import TableView
from qarax_tui.widgets.console_view import ConsoleView
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import furnish


async def test_every_root_view_opens_by_its_number() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for key, view_id in enumerate(ROOT_VIEWS, 1):
                await desk.press(str(key))
                await desk.until(lambda view_id=view_id: desk.main.view.view_id == view_id)  # type: ignore[misc]
                assert desk.main.view.trail()[0] in desk.text()


async def test_every_root_view_says_what_to_do_when_it_is_empty() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        for view_id in ROOT_VIEWS:
            view = await desk.main.show_root(view_id)
            await desk.pilot.pause()
            if isinstance(view, TableView):
                assert view.empty.split("\n")[0][:20] in desk.text() or "No VM yet" in desk.text()


async def test_details_and_console_stack_up_and_esc_goes_back() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"hello from the guest\r\n")
        async with dashboard(plane) as desk:
            await desk.press("enter")
            await desk.until(lambda: "VMs › db-1" in desk.text())
            await desk.press("c")
            await desk.until(lambda: "VMs › db-1 › Console" in desk.text())
            await desk.until(lambda: "hello from the guest" in desk.text())
            await desk.press("escape")
            await desk.until(lambda: desk.main.view.view_id == "vm")
            await desk.press("backspace")
            await desk.until(lambda: desk.main.view.view_id == "vms")


async def test_a_console_is_painted_for_the_first_time_with_its_last_lines() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        plane.console(vm).write(b"".join(b"line %03d\r\n" % number for number in range(300)))
        async with dashboard(plane) as desk:
            painted: list[str] = []
            paint = ConsoleView.render_line

            class Watched(ConsoleView):
                def render_line(self, y: int) -> Strip:
                    strip = paint(self, y)
                    painted.append(strip.text)
                    return strip

            plane.delay = 0.1
            page = ConsolePage(vm)
            page.patience = 10
            page.console = Watched(id="console")
            await desk.main.push(page)
            await desk.until(lambda: "line 299" in desk.text())
            first = painted[: page.console.size.height]
            assert any("line 299" in text for text in first)


async def test_the_cursor_stays_on_its_vm_while_others_come_and_go() -> None:
    async with ControlPlane() as plane:
        ids = [plane.add("vm", name=f"m-{n}") for n in range(5)]
        async with dashboard(plane) as desk:
            await desk.press("down", "down")
            for number in range(5):
                plane.add("vm", name=f"a-{number}")
            plane.remove("vm", ids[0])
            plane.change("vm", ids[2], name="zz")
            await desk.until(lambda: len(desk.app.fleet.vms) == 9)
            assert desk.table.table.cursor_id == ids[2]


async def test_a_filter_narrows_as_one_types_and_esc_takes_it_away() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("slash", *"web")
            assert all("web" in desk.app.fleet.vms[one].name for one in desk.table.order.ids)
            await desk.press("enter")
            assert desk.table.current() is not None
            await desk.press("escape")
            assert len(desk.table.order.ids) == len(desk.app.fleet.vms)


async def test_a_filter_given_up_leaves_the_cursor_where_it_was_and_one_taken_where_it_is() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            table = desk.table.table
            table.move_to(ids["db-4"])
            await desk.press("slash", *"web")
            await desk.until(lambda: table.cursor_id == ids["web-2"])
            await desk.press("escape")
            assert table.cursor_id == ids["db-4"]
            await desk.press("slash", *"web", "enter", "escape")
            assert (table.cursor_id, len(table.rows)) == (ids["web-2"], 10)


async def test_a_broken_filter_is_said_and_the_one_before_stays() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("slash", *"/(/")
            assert "missing )" in desk.text()


async def test_v_on_a_host_shows_its_vms() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("2")
            await desk.until(lambda: desk.main.view.view_id == "hosts")
            await desk.press("v")
            await desk.until(lambda: desk.main.view.view_id == "vms")
            hosts = {desk.app.fleet.vms[vm_id].host_id for vm_id in desk.table.order.ids}
            assert [desk.app.fleet.hosts[host_id].name for host_id in hosts] == ["alpha"]


async def test_sorting_by_every_column_that_is_shown() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (160, 30)) as desk:
            seen = set()
            for _ in desk.table.sort_keys():
                await desk.press("o")
                seen.add(desk.table.sort_column)
            assert seen == set(desk.table.sort_keys())
            before = list(desk.table.order.ids)
            await desk.press("O")
            assert list(desk.table.order.ids) == before[::-1]


async def test_a_jump_from_an_event_shows_its_object() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            plane.change("vm", ids["web-2"], status="paused")
            await desk.main.show_root("events")
            await desk.until(lambda: bool(desk.table.order.ids))
            await desk.press("f", "enter")
            await desk.until(lambda: desk.main.view.view_id == "vm")
            assert "web-2" in desk.text()


async def test_the_stand_in_is_named_and_explained() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            assert "qemu (stand-in)" in desk.text()
            await desk.press("enter")
            await desk.until(lambda: "stands in for Cloud Hypervisor: no vmx" in desk.text())


async def test_a_stop_shows_its_countdown() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, now=lambda: 1_800_000_000.0) as desk:
            await desk.until(lambda: "stopping 24 s" in desk.text())
