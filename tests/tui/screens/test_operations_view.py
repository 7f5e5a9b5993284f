"""Operations and the pulse: reasons, retries, failures."""

from __future__ import annotations

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard, open_view
from tests.tui.screens.world import furnish


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


async def test_marked_operations_are_done_again_together() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "operations")
            await desk.press("a", "r")
            assert "Retry 4 operations?" in desk.text()
            await desk.press("y")
            await desk.until(lambda: len(desk.changes()) == 4)


async def test_the_pulse_shows_failures_on_the_first_screen_however_many_hosts_there_are() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        for number in range(30):
            plane.add("host", name=f"host-{number}", status="up", cpus=4, memory_bytes=2**34)
        async with dashboard(plane, (80, 24)) as desk:
            await open_view(desk, "pulse")
            await desk.until(lambda: "vmlinux is not readable" in desk.text())


async def test_an_operation_jumps_to_what_it_was_done_to() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "operations")
            name = desk.app.fleet.operations[str(desk.table.table.cursor_id)].subject_name
            await desk.press("enter")
            await desk.until(lambda: desk.main.view.view_id == "vm")
            assert f"VMs › {name}" in desk.text()


@pytest.mark.parametrize(
    ("line", "view_id", "shown"),
    [
        ("● running", "vms", "filter status=running"),
        ("beta", "vms", "filter host=beta$"),
        ("start db-4", "vm", "db-4"),
    ],
)
async def test_every_line_of_the_pulse_goes_to_what_it_counts(line: str, view_id: str, shown: str) -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await open_view(desk, "pulse")
            await desk.until(lambda: line in desk.text())
            row = next(at for at, text in enumerate(desk.text().splitlines()[4:], 4) if line in text)
            await desk.pilot.click(offset=(5, row))
            await desk.until(lambda: desk.main.view.view_id == view_id)
            assert shown in desk.text()
