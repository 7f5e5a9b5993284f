"""Hosts: registered, taken up and down, and when they were seen."""

from __future__ import annotations

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard, fill, open_view, sent
from tests.tui.screens.world import NOW, ago


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


async def test_an_address_is_changed_and_nothing_else_is_sent() -> None:
    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up", address="10.0.0.11")
        async with dashboard(plane) as desk:
            await open_view(desk, "hosts")
            await desk.press("e")
            await fill(desk, address="10.0.0.99")
            await desk.press("ctrl+s")
            await desk.until(lambda: desk.app.fleet.hosts[host].address == "10.0.0.99")
            assert sent(plane, f"/hosts/{host}")["address"] == "10.0.0.99"
