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
