"""The page of a console: what is typed is for the guest, what is said is true, what is saved is whole."""

from __future__ import annotations

from pathlib import Path

from qarax_tui.screens.console import ConsolePage
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import furnish


async def test_the_console_survives_the_server() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"before\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "before" in desk.text())
            await plane.kill()
            await desk.until(lambda: "Trying again" in desk.text())
            assert "before" in desk.text()
            console.write(b"meanwhile\r\n")
            await plane.revive()
            await desk.until(lambda: "meanwhile" in desk.text())


async def test_what_is_typed_for_the_guest_never_becomes_a_key_of_the_dashboard() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"guest:~# ")
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())
            await plane.kill()
            await desk.until(lambda: "The console is not connected: typing goes nowhere." in desk.text())
            await plane.revive()
            await desk.until(
                lambda: "The input was lost: typing goes nowhere. ctrl+] or F12 leaves." in desk.text()
            )
            await desk.press(*"ps", "x", "enter", "D")
            assert desk.changes() == []
            assert desk.main.view.view_id == "console"
            assert desk.screen is desk.main
            await desk.press("f12")
            await desk.until(lambda: "Input" in desk.text().splitlines()[-1])
            await desk.press("p")
            await desk.until(lambda: ("POST", f"/vms/{ids['db-1']}/pause") in desk.changes())


async def test_what_is_typed_right_after_asking_for_the_input_is_for_the_guest() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"guest:~# ")
        console.answering.clear()
        async with dashboard(plane) as desk:
            await desk.press("c", "i", *"ps", "x", "enter", "D")
            assert "Asking for the input: what you type waits for it." in desk.text()
            console.answering.set()
            await desk.until(lambda: bytes(console.received) == b"psx\rD")
            assert desk.changes() == []
            assert desk.screen is desk.main


async def test_the_input_another_one_holds_is_taken_over_only_when_told_to() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"guest:~# ")
        console.holder = "ann"
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Take over the input of db-1?" in desk.text())
            await desk.press("n", "p", "x")
            await desk.until(lambda: "ann types into this console: typing goes nowhere" in desk.text())
            assert console.holder == "ann"
            await desk.press("f12", "i")
            await desk.until(lambda: "Take over the input of db-1?" in desk.text())
            await desk.press("y", "up", "y")  # still typed for the guest: the question had just opened
            assert "Take over the input of db-1?" in desk.text()
            await desk.until(lambda: not desk.screen.query_one("#yes").disabled)
            await desk.press("y")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())
            await desk.press("p")
            await desk.until(lambda: bytes(console.received) == b"p")
            assert desk.changes() == []


async def test_the_input_that_the_other_one_gave_back_is_had_without_a_question() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        console = plane.console(ids["db-1"])
        console.write(b"guest:~# ")
        console.holder = "ann"
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Take over the input of db-1?" in desk.text())
            await desk.press("n", "f12")
            console.holder = None
            await desk.press("i")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())


async def test_an_empty_console_says_why_and_what_to_do() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="created")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "Nothing was written yet: it is created." in desk.text())
            assert "s starts it." in desk.text()
            plane.change("vm", vm, status="running")
            await desk.until(lambda: "The guest has written nothing yet." in desk.text())
            plane.console(vm).write(b"hay\r\n")
            await desk.until(lambda: "hay" in desk.text())
            await desk.press("ampersand")
            await desk.type("needle")
            await desk.press("enter")
            await desk.until(lambda: "No line matches “needle”." in desk.text())
            await desk.press("escape")
            await desk.until(lambda: "hay" in desk.text())


async def test_a_console_is_saved_whole_though_only_its_end_is_shown(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        console = plane.console(vm)
        console.write(b"".join(b"line %d\r\n" % number for number in range(3_000)))
        async with dashboard(plane) as desk:
            await desk.press("c", "S")
            await desk.type(str(tmp_path / "web.log"))
            await desk.press("enter")
            await desk.until(lambda: f"{len(console.data):,} bytes in " in desk.toasts())
            assert (tmp_path / "web.log").read_bytes() == bytes(console.data)


async def test_a_console_that_is_refused_says_the_servers_reason_and_does_not_cut_it() -> None:
    why = "host gamma does not answer: its node does not answer at 10.0.0.13:50051: connection refused"
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="unknown")
        for _ in range(40):
            plane.refuse("GET", f"/vms/{vm}/console", 503, {"message": why, "code": "node_unavailable"})
        async with dashboard(plane, (80, 24)) as desk:
            await desk.press("c")
            await desk.until(lambda: why in " ".join(desk.text().split()))


async def test_keys_for_a_console_without_a_connection_are_not_said_to_be_taken_over() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        plane.console(vm).write(b"guest:~# ")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "guest:~#" in desk.text())
            await plane.kill()
            await desk.until(lambda: "Nothing answers" in desk.text())
            await desk.press("i")
            assert "The console is not connected: typing goes nowhere." in desk.text()


async def test_the_console_of_a_vm_that_went_takes_no_input() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        plane.console(vm).write(b"guest:~# ")
        async with dashboard(plane) as desk:
            await desk.press("c", "i")
            await desk.until(lambda: "Every key goes to the guest" in desk.text())
            plane.remove("vm", vm)
            await desk.until(lambda: "The VM is gone: typing goes nowhere." in desk.text())
            assert "guest:~#" in desk.text()
            await desk.press("f12")
            assert "Input" not in desk.text().splitlines()[-1]
            await desk.press("i")
            assert "Input: the VM is gone." in desk.toasts()


async def test_a_search_that_found_nothing_is_said_until_one_finds_something() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"one needle\r\n" + b"hay\r\n" * 100)
        async with dashboard(plane) as desk:
            await desk.press("c", "slash")
            await desk.type("needle")
            await desk.press("enter")
            await desk.until(lambda: "one needle" in desk.text())
            await desk.press("N")
            await desk.until(lambda: "No more “needle” above" in desk.text())
            await desk.press("G", "N")
            await desk.until(lambda: "one needle" in desk.text())
            assert "No more" not in desk.text()


async def test_the_keys_of_the_console_reach_it() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"needle one\r\n" + b"hay\r\n" * 100 + b"needle two\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "needle two" in desk.text())
            page = desk.main.view
            assert isinstance(page, ConsolePage)
            for key, name in (("w", "wrap"), ("t", "show_times")):
                before = getattr(page.console, name)
                await desk.press(key)
                assert getattr(page.console, name) is not before
            await desk.press("slash", *"needle", "enter", "N")
            await desk.until(lambda: "needle one" in desk.text())
            await desk.press("n")
            await desk.until(lambda: "needle two" in desk.text())
            assert "not following" in desk.text()
            await desk.press("f")
            await desk.until(lambda: "not following" not in desk.text())


async def test_the_log_is_saved_where_it_is_said_and_only_once(tmp_path: Path) -> None:
    place = tmp_path / "db-1.log"
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"login: \x1b[1mroot\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "login:" in desk.text())
            for _ in range(2):
                await desk.press("S")
                await desk.type(str(place))
                await desk.press("enter")
            assert place.read_bytes() == b"login: \x1b[1mroot\r\n"
            assert f"17 bytes in {place}" in desk.toasts()
            assert "exists" in desk.toasts()
