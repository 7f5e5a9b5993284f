"""Hosts, storage, boot sources, operations: forms, questions, what is sent; mouse and clipboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from qarax_tui.screens.form import FieldRow
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import Desk, dashboard
from tests.tui.screens.world import NOW, ago, furnish


async def open_view(desk: Desk, view_id: str) -> None:
    await desk.main.show_root(view_id)
    await desk.pilot.pause()


async def fill(desk: Desk, **values: str) -> None:
    for row in desk.screen.query(FieldRow):
        if row.field.name in values:
            row.query_one(Input).value = values[row.field.name]
    await desk.pilot.pause()


def sent(plane: ControlPlane, path: str) -> Any:
    return [body for _, one, body in plane.bodies if one == path][-1]


async def test_a_host_is_registered_and_taken_up() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await open_view(desk, "hosts")
        await desk.press("n")
        await fill(desk, name="delta", address="10.0.0.14")
        await desk.press("ctrl+s")
        await desk.until(lambda: getattr(desk.table.current(), "name", "") == "delta")
        body = {"name": "delta", "address": "10.0.0.14", "port": 50051, "host_user": "root"}
        assert sent(plane, "/hosts") == body
        await desk.press("u")
        await desk.until(lambda: "● up" in desk.text())


@pytest.mark.parametrize(
    ("status", "reason", "seen"),
    [
        ("up", "a CPU is degraded", "now"),
        ("down", None, "now"),
        ("down", "its node does not answer", "1 h 0 m"),
        ("unknown", "its node does not answer", "1 h 0 m"),
    ],
)
async def test_a_host_that_answers_was_seen_now_though_no_event_says_so(
    status: str, reason: str | None, seen: str
) -> None:
    async with ControlPlane() as plane:
        plane.add("host", name="alpha", status=status, status_reason=reason, last_seen_at=ago(3600))
        async with dashboard(plane, (160, 40), now=lambda: NOW) as desk:
            await open_view(desk, "hosts")
            assert next(line for line in desk.text().splitlines() if "alpha" in line).rstrip().endswith(seen)
            await desk.press("enter")
            await desk.until(lambda: "Seen" in desk.text() and "SSH user" in desk.text())
            assert next(line for line in desk.text().splitlines() if "Seen " in line).split()[1] in seen


async def test_taking_a_host_down_asks() -> None:
    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up")
        async with dashboard(plane) as desk:
            await open_view(desk, "hosts")
            await desk.press("d")
            assert "Take alpha down?" in desk.text()
            await desk.press("y")
            await desk.until(lambda: desk.app.fleet.hosts[host].status == "down")


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


@pytest.mark.parametrize("key", ["enter", "v"])
async def test_a_reason_too_long_for_its_column_can_be_read_whole(key: str) -> None:
    reason = (
        "nothing is mounted at /mnt/images: mount the export there on this host, and have it in /etc/fstab"
    )
    async with ControlPlane() as plane:
        plane.add("storage_pool", name="images", status="error", status_reason=reason)
        async with dashboard(plane, (80, 24)) as desk:
            await open_view(desk, "storage")
            assert reason not in desk.text()
            await desk.press("g", key)
            shown = " ".join(desk.text().replace("│", " ").split())
            assert reason in shown
            second = next(line for line in desk.text().split("\n") if "have it in /etc/fstab" in line)
            assert second.split("│")[1].startswith("    ")  # as far in as the first line of the reason
            await desk.press(key)
            assert desk.screen is desk.main


async def test_a_failed_operation_is_done_again() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "operations")
            failed = next(one for one in desk.app.fleet.operations.values() if one.status == "failed")
            desk.table.table.move_to(failed.id)
            await desk.press("r")
            await desk.until(lambda: ("POST", f"/vms/{ids[failed.subject_name]}/start") in desk.changes())


async def test_the_mouse_reaches_tabs_rows_and_footer() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.pilot.click("#tabs", offset=(12, 0))
            await desk.until(lambda: desk.main.view.view_id == "hosts")
            await desk.pilot.click("#tabs", offset=(3, 0))
            await desk.until(lambda: desk.main.view.view_id == "vms")
            await desk.pilot.click("#vms-table", offset=(5, 3))
            assert getattr(desk.table.current(), "name", "") == "db-7"
            await desk.pilot.click("#footer", offset=(2, 0))
            await desk.until(lambda: "Create a VM" in desk.text())


COPIED = (
    "00000000-0000",
    "db-1",
    "curl -fsS http",
    '"boot_vcpus": 1',
    "boot_vcpus: 1",
    "-X POST",
    '"payload"',
)


async def test_a_vm_is_copied_in_every_form() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for steps, part in enumerate(COPIED):
                await desk.press("y", *["down"] * steps, "enter")
                await desk.until(lambda part=part: part in desk.app.clipboard)  # type: ignore[misc]


async def test_tmux_is_given_what_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own command: as tmux comes, it takes no clipboard from programs."""
    taken = tmp_path / "taken"
    tmux = tmp_path / "tmux"
    tmux.write_text(f'#!/bin/sh\necho "$@" >{taken}.words\ncat >{taken}.new\nmv {taken}.new {taken}\n')
    tmux.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TMUX", "socket,1,0")
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("y", "down", "enter")
            await desk.until(taken.exists)
            assert taken.read_text() == "db-1"
            assert taken.with_suffix(".words").read_text().split() == ["load-buffer", "-w", "-"]


async def test_what_is_dragged_over_in_the_console_is_copied() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"login: root\r\nPassword:\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "Password:" in desk.text())
            await desk.pilot.mouse_down("#console", offset=(7, 0))
            await desk.pilot.hover("#console", offset=(3, 1))
            await desk.pilot.mouse_up("#console", offset=(3, 1))
            await desk.until(lambda: desk.app.clipboard == "root\nPass")
            assert "Copied: selection (9 characters)." in desk.toasts()
            await desk.press("escape")
            assert desk.main.view.view_id == "console"


async def test_a_click_on_the_breadcrumbs_goes_back_there() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("enter", "c")
            await desk.until(lambda: "VMs › db-1 › Console" in desk.text())
            await desk.pilot.click("#crumbs", offset=(2, 0))
            await desk.until(lambda: desk.main.view.view_id == "vms")
            assert len(desk.main.stack) == 1


async def test_an_event_copies_what_it_is_about() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            plane.change("vm", ids["web-2"], status="paused")
            await open_view(desk, "events")
            await desk.until(lambda: bool(desk.table.order.ids))
            await desk.press("f", "y", "down", "enter")
            await desk.until(lambda: desk.app.clipboard == "web-2")


async def test_marked_operations_are_done_again_together() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "operations")
            await desk.press("a", "r")
            assert "Retry 4 operations?" in desk.text()
            await desk.press("y")
            await desk.until(lambda: len(desk.changes()) == 4)


async def test_the_footer_offers_only_what_fits_the_row() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for view_id, there, absent in (
                ("operations", "Retry", "Cancel"),
                ("storage", "Delete", "Cancel"),
                ("hosts", "Down", "u Up"),
            ):
                await open_view(desk, view_id)
                await desk.until(lambda there=there: there in desk.text().splitlines()[-1])  # type: ignore[misc]
                assert absent not in desk.text().splitlines()[-1]


async def test_every_column_sorts() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (160, 50)) as desk:
            for view_id in ("vms", "hosts", "storage", "boot_sources", "operations", "events"):
                await open_view(desk, view_id)
                for column in desk.table.sortable:
                    desk.table.sort_by(column)
                    assert desk.table.sort_column == column
            await open_view(desk, "operations")
            desk.table.sort_by("action")
            desk.table.sort_by("reason")
            reasons = [desk.app.fleet.operations[one].reason for one in desk.table.order.ids]
            assert reasons == sorted(reasons)


async def test_the_pulse_shows_failures_on_the_first_screen_however_many_hosts_there_are() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        for number in range(30):
            plane.add("host", name=f"host-{number}", status="up", cpus=4, memory_bytes=2**34)
        async with dashboard(plane, (80, 24)) as desk:
            await open_view(desk, "pulse")
            await desk.until(lambda: "vmlinux is not readable" in desk.text())


async def test_themes_change_at_once() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        await desk.press("T")
        assert desk.app.theme == "qarax-light"
        await desk.press("colon")
        await desk.type("theme colour-blind")
        await desk.press("enter")
        assert desk.app.theme == "qarax-colour-blind"
