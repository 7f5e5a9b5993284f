"""The details of a VM and of a host: what happened before the dashboard was opened, and what was not read."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import NOW, ago

OTHERS = 1_000


@pytest.mark.parametrize(("noun", "view"), [("vm", "1"), ("host", "2")])
async def test_what_happened_long_before_others_is_there(noun: str, view: str) -> None:
    async with ControlPlane() as plane:
        mine = plane.add(noun, name="a-first", status="up" if noun == "host" else "running")
        plane.events[-1].update(message="it came into being", occurred_at=ago(7000))
        for number in range(OTHERS):
            other = plane.add("vm", silently=True, name=f"vm-{number}")
            plane.change("vm", other, status="running")
            plane.add("operation", silently=True, action="start", subject_id=other, started_at=ago(60))
        plane.add("operation", silently=True, action="stop", subject_id=mine, status="succeeded",
                  reason="the guest obeyed", started_at=ago(7004.1), ended_at=ago(7000))  # fmt: skip
        async with dashboard(plane, (120, 40), now=lambda: NOW) as desk:
            assert all(one.subject_id != mine for one in desk.app.fleet.operations.values())
            await desk.press(view, "g", "enter")
            await desk.until(lambda: "it came into being" in desk.text())
            assert "the guest obeyed  4.1 s" in desk.text()


async def test_what_could_not_be_read_is_said_and_asked_for_again() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running", description="the shop")
        plane.refuse("GET", f"/vms/{vm}", 500, {"message": "The database is full."})
        clock = [NOW]
        async with dashboard(plane, now=lambda: clock[0]) as desk:
            await desk.press("enter")
            await desk.until(lambda: "Not read" in desk.text())
            assert "The database is full." in desk.text()
            clock[0] += 10
            await desk.until(lambda: "the shop" in desk.text())
            assert "Not read" not in desk.text()


async def test_what_happens_while_one_looks_comes_on_top() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        async with dashboard(plane) as desk:
            await desk.press("enter")
            await desk.until(lambda: "vm create" in desk.text())
            plane.change("vm", vm, status="paused")
            plane.events[-1].update(message="it was frozen")
            await desk.until(lambda: "it was frozen" in desk.text())
            assert desk.text().index("it was frozen") < desk.text().index("vm create")


async def test_an_adopted_vm_has_no_placement_which_is_no_failure_and_is_asked_for_once() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        none = {"message": "this VM was adopted, not placed: there is no decision", "code": "no_placement"}
        plane.refuse("GET", f"/vms/{vm}/placement", 404, none)
        clock = [NOW]
        async with dashboard(plane, (120, 40), now=lambda: clock[0]) as desk:
            await desk.press("enter")
            await desk.until(lambda: "It was adopted, not placed" in desk.text())
            assert "Not read" not in desk.text()
            clock[0] += 10
            desk.main.view.tick()
            await desk.pilot.pause()
            assert plane.requests.count(("GET", f"/vms/{vm}/placement")) == 1


async def test_load_is_sampled_only_while_the_details_are_open() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="running")
        asked = ("GET", f"/vms/{vm}/metrics")
        async with dashboard(plane) as desk:
            assert asked not in plane.requests
            await desk.press("enter")
            await desk.until(lambda: "96 MiB" in desk.text())
            assert "CPU" in desk.text()
            plane.counters["vmm"]["cpu_milliseconds"] += 1_000
            plane.counters["disk0"]["read_bytes"] += 64 * 2**20
            await desk.until(lambda: re.search(r"CPU .* [1-9]\d* %", desk.text()) is not None)
            assert re.search(r"Disk .* MiB/s", desk.text())
            await desk.press("c")
            await desk.until(lambda: desk.main.view.view_id == "console")
            before = plane.requests.count(asked)
            await asyncio.sleep(2.5)  # one more sample would have been due
            assert plane.requests.count(asked) == before
