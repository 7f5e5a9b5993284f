"""The create form: checked while one types, refused on the right field, the new VM under the cursor."""

from __future__ import annotations

from textual.widgets import Input, Select

from qarax_tui.screens.create import CreateForm
from qarax_tui.screens.form import FieldRow
from qarax_tui.screens.vm_sections import verdicts
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard


def row(desk: Desk, name: str) -> FieldRow:
    return next(one for one in desk.screen.query(FieldRow) if one.field.name == name)


async def write(desk: Desk, name: str, text: str) -> None:
    row(desk, name).query_one(Input).value = text
    await desk.pilot.pause()


async def test_a_vm_is_created_and_the_cursor_goes_to_it() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="zebra")
        first = plane.add("boot_source", name="linux")
        plane.add("boot_source", name="aaa")
        async with dashboard(plane) as desk:
            await desk.press("n")
            assert row(desk, "boot_source_id").query_one(Select).value == first
            await write(desk, "name", "web-1")
            await write(desk, "memory_size", "2GiB")
            await desk.press("ctrl+s")
            await desk.until(lambda: len(desk.app.fleet.vms) == 2)
            await desk.until(lambda: getattr(desk.table.current(), "name", "") == "web-1")
            sent = [body for method, path, body in plane.bodies if (method, path) == ("POST", "/vms")][-1]
            assert sent == {
                "name": "web-1",
                "hypervisor": "cloud_hv",
                "boot_vcpus": 1,
                "max_vcpus": 1,
                "memory_size": 2 * 2**30,
                "boot_source_id": first,
            }


async def test_a_wrong_value_is_said_beneath_its_field_and_nothing_is_sent() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await desk.press("n")
        await write(desk, "memory_size", "512")
        assert "add a unit" in desk.text()
        await desk.press("ctrl+s")
        assert isinstance(desk.screen, CreateForm)
        assert desk.screen.focused is row(desk, "memory_size").query_one(Input)
        assert not desk.app.api.actions


async def test_an_error_of_the_server_lands_on_its_field() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await desk.press("n")
        refusal = {"message": "Not valid.", "errors": {"name": ["A VM of this name exists."]}}
        plane.refuse("POST", "/vms", 422, refusal)
        await desk.press("ctrl+s")
        await desk.until(lambda: row(desk, "name").problem == "A VM of this name exists.")
        assert "A VM of this name exists." in desk.text()


async def test_the_hosts_that_would_take_it_stand_beside_the_form() -> None:
    async with ControlPlane() as plane:
        plane.add("host", name="alpha", status="up")
        plane.add("host", name="beta", status="down")
        async with dashboard(plane) as desk:
            await desk.press("n")
            await desk.until(lambda: "● alpha" in desk.text() and "✖ beta" in desk.text())


async def test_a_refusal_of_the_dry_run_takes_neither_focus_nor_keys() -> None:
    async with ControlPlane() as plane:
        plane.add("host", name="alpha", status="up")
        async with dashboard(plane) as desk:
            await desk.press("n")
            await desk.until(lambda: "● alpha" in desk.text())
            refusal = {"message": "Not valid.", "errors": {"max_vcpus": ["No fewer than boot_vcpus."]}}
            plane.refuse("POST", "/vms", 422, refusal)
            row(desk, "memory_size").query_one(Input).focus()
            await write(desk, "max_vcpus", "1")
            await desk.until(lambda: row(desk, "max_vcpus").problem == "No fewer than boot_vcpus.")
            assert desk.screen.focused is row(desk, "memory_size").query_one(Input)
            assert "alpha" not in desk.text()


async def test_no_hosts_are_promised_for_values_that_are_not_valid() -> None:
    async with ControlPlane() as plane:
        plane.add("host", name="alpha", status="up")
        async with dashboard(plane) as desk:
            await desk.press("n")
            await desk.until(lambda: "● alpha" in desk.text())
            await write(desk, "memory_size", "much")
            assert "alpha" not in desk.text()
            await write(desk, "memory_size", "1GiB")
            await desk.until(lambda: "● alpha" in desk.text())


async def test_esc_leaves_without_a_change() -> None:
    async with ControlPlane() as plane:
        async with dashboard(plane) as desk:
            await desk.press("n", "escape")
            assert not isinstance(desk.screen, CreateForm)
        assert list(plane.resources["vm"]) == []


async def test_a_fork_is_filled_from_the_vm() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", boot_vcpus=3, max_vcpus=6, memory_size=3 * 2**29, protected=True)
        async with dashboard(plane) as desk:
            await desk.press("f")
            await desk.until(lambda: isinstance(desk.screen, CreateForm))
            assert [row(desk, name).text for name in ("name", "boot_vcpus", "max_vcpus", "memory_size")] == [
                "web-2", "3", "6", "1.5GiB",
            ]  # fmt: skip
            await desk.press("ctrl+s")
            await desk.until(lambda: len(desk.app.fleet.vms) == 2)
            assert plane.bodies[-1][2]["protected"] is True


def test_hosts_that_say_no_for_the_same_reason_stand_on_one_line() -> None:
    no = [{"rule": "status", "passed": False, "message": "it is down"}]
    hosts = [{"host_name": f"host-{n}", "fits": n < 20, "rules": [] if n < 20 else no} for n in range(40)]
    full = {
        "host_name": "full",
        "fits": False,
        "rules": [{"rule": "vcpus", "passed": False, "message": "full"}],
    }
    lines = [f"{line.head.plain}{line.text.plain}" for line in verdicts({"hosts": [*hosts, full]})]
    assert lines[0] == "● host-0"
    assert lines[-3:] == ["● and 8 more", "✖ 20 hosts  it is down", "✖ full  full"]
