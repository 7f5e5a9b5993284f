"""Changing what exists: the edit form of a VM and of a host, new disks, orphans, host details."""

from __future__ import annotations

from typing import Any

import pytest
from textual.widgets import Input, Select

from qarax_tui.screens.form import Field, FieldRow, Form
from qarax_tui.screens.ticks import Ticks
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import furnish


def row(desk: Desk, name: str) -> FieldRow:
    return next(one for one in desk.screen.query(FieldRow) if one.field.name == name)


async def form(desk: Desk, *keys: str) -> list[Field]:
    await desk.press(*keys)
    await desk.until(lambda: isinstance(desk.screen, Form))
    return [one.field for one in desk.screen.query(FieldRow)]


def patched(plane: ControlPlane) -> Any:
    return [body for method, _, body in plane.bodies if method == "PATCH"][-1]


async def test_typing_replaces_the_name_that_is_offered() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await form(desk, "n")
        await desk.press(*"web")
        assert row(desk, "name").text == "web"


async def test_only_what_differs_is_sent() -> None:
    async with ControlPlane() as plane:
        pool = plane.add("storage_pool", name="local")
        disk = plane.add("storage_object", name="root", object_type="disk", storage_pool_id=pool)
        plane.add("vm", name="web-1", status="shutdown", description="old", autostart=True)
        async with dashboard(plane) as desk:
            await form(desk, "e")
            row(desk, "boot_vcpus").query_one(Input).value = "2"
            row(desk, "max_vcpus").query_one(Input).value = "4"
            row(desk, "disks").query_one(Ticks).focus()
            await desk.press("space")
            row(desk, "policy").query_one(Ticks).focus()
            await desk.press("space", "down", "space", "ctrl+s")
            await desk.until(lambda: not isinstance(desk.screen, Form))
            new = [{"storage_object_id": disk, "image_type": "raw", "readonly": False}]
            assert patched(plane) == {
                "boot_vcpus": 2, "max_vcpus": 4, "disks": new, "autostart": False, "protected": True,
            }  # fmt: skip


async def test_a_running_vm_keeps_its_shape() -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1", status="running")
        async with dashboard(plane) as desk:
            names = [field.name for field in await form(desk, "e")]
            assert names == ["name", "stop_grace_seconds", "policy", "description"]
            row(desk, "name").query_one(Input).value = "web-2"
            row(desk, "stop_grace_seconds").query_one(Input).value = "60"
            await desk.press("ctrl+s")
            await desk.until(lambda: next(iter(desk.app.fleet.vms.values())).name == "web-2")
            assert patched(plane) == {"name": "web-2", "stop_grace_seconds": 60}


async def test_a_vm_with_a_named_tap_two_disks_and_a_driver() -> None:
    async with ControlPlane() as plane:
        plane.add("host", name="alpha", status="up", drivers=[{"name": "cloud_hypervisor", "usable": True}])
        pool = plane.add("storage_pool", name="local")
        for name in ("data", "root"):
            plane.add("storage_object", name=name, object_type="disk", storage_pool_id=pool)
        async with dashboard(plane) as desk:
            await form(desk, "n")
            row(desk, "networks").query_one(Select).value = "tap"
            row(desk, "tap").query_one(Input).value = "br0-web"
            row(desk, "driver").query_one(Select).value = "cloud_hypervisor"
            row(desk, "disks").query_one(Ticks).focus()
            await desk.press("space", "down", "space", "ctrl+s")
            await desk.until(lambda: bool(desk.app.fleet.vms))
            sent = [body for _, path, body in plane.bodies if path == "/vms"][-1]
            assert sent["networks"] == [{"id": "net0", "interface_type": "tap", "tap": "br0-web"}]
            assert len(sent["disks"]) == 2
            assert sent["driver"] == "cloud_hypervisor"


@pytest.mark.parametrize("copy_of", ["", "root.ext4"])
async def test_a_disk_is_made_blank_or_as_a_copy(copy_of: str) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("3")
            await form(desk, "b")
            row(desk, "name").query_one(Input).value = "data"
            row(desk, "size_bytes").query_one(Input).value = "2GiB"
            stored = {one.name: one.id for one in desk.app.fleet.storage_objects.values()}
            if copy_of:
                row(desk, "source_object_id").query_one(Select).value = stored[copy_of]
            await desk.press("ctrl+s")
            await desk.until(lambda: getattr(desk.table.current(), "name", "") == "data")
            told = {"source_object_id": stored[copy_of]} if copy_of else {"size_bytes": 2 * 2**30}
            assert plane.bodies[-1][2] == {"name": "data", **told}


async def test_a_disk_that_cannot_be_made_is_said() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        pool = next(iter(plane.resources["storage_pool"]))
        async with dashboard(plane) as desk:
            await desk.press("3")
            await form(desk, "b")
            row(desk, "name").query_one(Input).value = "data"
            plane.refuse("POST", f"/storage-pools/{pool}/disks", 202, {"id": "making", "subject_id": "never"})
            await desk.press("ctrl+s")
            await desk.until(lambda: desk.screen is desk.main)
            plane.add("operation", action="create_disk", subject_id="never", subject_name="data",
                      status="failed", reason="nothing is mounted at /mnt/x")  # fmt: skip
            await desk.until(lambda: "nothing is mounted at /mnt/x" in desk.toasts())


async def test_host_details_show_why_and_their_keys_act_on_the_host() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        alpha = next(iter(plane.resources["host"]))
        async with dashboard(plane, (140, 40)) as desk:
            await desk.press("2", "enter")
            await desk.until(lambda: "it stands in for Cloud Hypervisor" in desk.text())
            assert "alpha" in desk.text()
            here = sum(vm["host_id"] == alpha for vm in plane.resources["vm"].values())
            assert f"{here} VMs" in desk.text()
            await form(desk, "e")
            row(desk, "port").query_one(Input).value = "50052"
            await desk.press("ctrl+s")
            await desk.until(lambda: "10.0.0.11:50052" in desk.text())
            assert patched(plane) == {"port": 50052}
            await desk.press("d")
            assert "Take alpha down?" in desk.text()
            await desk.press("escape", "v")
            await desk.until(lambda: desk.main.view.view_id == "vms")
            assert desk.table.filter.text == "host=alpha$"


async def test_orphans_are_told_of_adopted_ignored_and_deleted_by_name() -> None:
    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up")
        for name in ("a-lost", "b-lost", "c-lost"):
            plane.add("orphan", name=name, host_id=host)
        async with dashboard(plane) as desk:
            await desk.until(lambda: "3 orphans" in desk.text())
            await desk.press("8")
            await desk.until(lambda: desk.main.view.view_id == "orphans")
            await desk.press("t")
            await desk.until(lambda: any(vm.name == "a-lost" for vm in desk.app.fleet.vms.values()))
            await desk.press("g", "i")
            await desk.until(lambda: "1 orphan" in desk.text() and "ignored" in desk.text())
            await desk.press("G", "D")
            assert "Delete c-lost?" in desk.text()
            await desk.press(*"c-lost", "enter")
            await desk.until(lambda: len(desk.app.fleet.orphans) == 1)
        assert ("DELETE", f"/hosts/{host}/orphans/") in [(m, p[:-36]) for m, p in plane.requests]


async def test_an_orphan_whose_name_a_vm_has_is_adopted_under_another() -> None:
    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up")
        plane.add("vm", name="web", host_id=host)
        plane.add("orphan", name="web", host_id=host)
        async with dashboard(plane) as desk:
            await desk.press("8", "t")
            assert "web is the name of a VM: choose another" in desk.text()
            await desk.press(*"web-old", "enter")
            await desk.until(lambda: {vm.name for vm in desk.app.fleet.vms.values()} == {"web", "web-old"})
            assert not desk.app.fleet.orphans


async def test_every_dialog_can_be_quit_from() -> None:
    for keys in (("n",), ("question_mark",), ("y",), ("D",)):
        async with ControlPlane() as plane:
            plane.add("vm", name="web-1")
            async with dashboard(plane) as desk:
                await desk.press(*keys)
                assert len(desk.app.screen_stack) == 3
                await desk.press("ctrl+q")
                await desk.until(lambda: not desk.app.is_running)


async def test_two_keys_in_one_moment_close_one_dialog_and_not_the_dashboard() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        for opening in ("question_mark", "n", "ctrl+p"):
            await desk.press(opening)
            dialog = desk.screen
            dialog.dismiss(None)
            dialog.dismiss(None)
            await desk.pilot.pause()
            assert desk.screen is desk.main


async def test_marked_rows_that_cannot_be_cancelled_or_deleted_are_in_the_report() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        plane.add("operation", action="stop", status="running", subject_name="slow")
        async with dashboard(plane, (120, 40)) as desk:
            await desk.press("5", "a", "x", "y")
            await desk.until(lambda: "4 left out" in desk.text())
            assert "it has ended" in desk.text()
            await desk.press("escape", "3", "a", "x", "y")
            await desk.until(lambda: "4 left out" in desk.text())
            assert "vmlinux  no transfer that runs" in desk.text()
            await desk.press("escape", "D", "4", "enter")
            await desk.until(lambda: "1 left out" in desk.text())
            assert "debian.raw  a transfer stays as a record" in desk.text()
