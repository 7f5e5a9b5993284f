"""Storage and boot sources: forms, what is sent, what uses what."""

from __future__ import annotations

from textual.widgets import Input

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard, fill, open_view, sent
from tests.tui.screens.world import furnish


async def test_a_pool_is_made_and_a_transfer_into_it_started() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await open_view(desk, "storage")
        await desk.press("n")
        await fill(desk, name="images", path="/srv/images")
        await desk.press("ctrl+s")
        await desk.until(lambda: len(desk.app.fleet.storage_pools) == 1)
        await desk.until(lambda: desk.table.current() is not None)
        assert sent(plane, "/storage-pools") == {
            "name": "images", "pool_type": "local", "config": {"path": "/srv/images"},
        }  # fmt: skip
        await desk.press("t")
        await fill(desk, source="https://images.example.org/debian.raw", name="debian.raw")
        await desk.press("ctrl+s")
        await desk.until(lambda: len(desk.app.fleet.transfers) == 1)
        assert "debian.raw" in desk.text()


async def test_an_error_inside_a_field_stands_beneath_it_once() -> None:
    said = "/etc/passwd is not inside /srv/images"
    async with ControlPlane() as plane, dashboard(plane) as desk:
        plane.refuse("POST", "/storage-pools", 422, {"message": said, "errors": {"config.path": [said]}})
        await open_view(desk, "storage")
        await desk.press("n")
        await fill(desk, name="images", path="/etc/passwd")
        await desk.press("ctrl+s")
        await desk.until(lambda: said in desk.text())
        assert desk.text().count(said) == 1
        assert isinstance(desk.screen.focused, Input)
        assert desk.screen.focused.value == "/etc/passwd"


async def test_a_transfer_shows_its_progress() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "storage")
            await desk.until(lambda: "████···· 50%" in " ".join(desk.text().split()))
            transfer = next(iter(plane.resources["transfer"]))
            plane.change("transfer", transfer, transferred_bytes=2**31, status="completed")
            await desk.until(lambda: "● completed" in desk.text())


async def test_a_boot_source_is_made_of_objects() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "boot_sources")
            await desk.press("n")
            await fill(desk, name="other")
            await desk.press("ctrl+s")
            await desk.until(lambda: "This is needed." in desk.text())


async def test_what_uses_an_object_is_counted_while_it_changes_and_after() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        boot = next(iter(plane.resources["boot_source"]))
        disk = next(
            one["id"] for one in plane.resources["storage_object"].values() if one["name"] == "root.ext4"
        )
        async with dashboard(plane, (160, 40)) as desk:
            await open_view(desk, "storage")
            await desk.until(lambda: "5 VMs" in line_of(desk, "root.ext4"))
            assert "1 boot" in line_of(desk, "vmlinux")
            plane.add("vm", name="new", boot_source_id=boot, disks=[{"storage_object_id": disk}])
            await desk.until(lambda: "6 VMs" in line_of(desk, "root.ext4"))
            await open_view(desk, "boot_sources")
            await desk.until(lambda: "11 VMs" in line_of(desk, "linux"))
            plane.remove("vm", ids["db-1"])
            await desk.until(lambda: "10 VMs" in line_of(desk, "linux"))
            plane.remove("vm", ids["web-2"])
            await desk.until(lambda: "9 VMs" in line_of(desk, "linux"))
            await open_view(desk, "storage")
            assert "5 VMs" in line_of(desk, "root.ext4")
            plane.remove("vm", ids["web-3"])
            await desk.until(lambda: len(desk.app.fleet.vms) == 8)
            await open_view(desk, "boot_sources")
            assert "8 VMs" in line_of(desk, "linux")


def line_of(desk: Desk, name: str) -> str:
    return next(line for line in desk.text().splitlines() if name in line)


async def test_pools_and_objects_that_go_together_are_told_apart() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "storage")
            await desk.press("a", "D")
            assert "Delete 1 pool and 3 objects?" in desk.text()


async def test_a_file_that_is_in_a_pool_becomes_an_object() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        pool = next(iter(plane.resources["storage_pool"]))
        async with dashboard(plane) as desk:
            await open_view(desk, "storage")
            await desk.press("N")
            await fill(desk, name="data", path="/var/lib/qarax/images/data.raw")
            await desk.press("ctrl+s")
            await desk.until(lambda: getattr(desk.table.current(), "name", "") == "data")
            told = {"name": "data", "storage_pool_id": pool, "object_type": "disk", "size_bytes": 0}
            assert sent(plane, "/storage-objects") == told | {
                "config": {"path": "/var/lib/qarax/images/data.raw"}
            }
