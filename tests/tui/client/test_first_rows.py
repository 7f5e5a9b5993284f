"""The first rows come before the client does, and whatever goes wrong with them is left to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from qarax_tui.client.api import Api
from qarax_tui.client.first_rows import FirstRows
from qarax_tui.client.fleet import Fleet
from qarax_tui.client.settings import ClientSettings
from tests.fakes.control_plane import ControlPlane
from tests.ports import free_port
from tests.tui.waiting import until


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as running:
        yield running


async def ended(first: FirstRows) -> None:
    await asyncio.to_thread(first._thread.join, 10)
    assert not first._thread.is_alive()


async def test_hosts_then_vms_are_there(plane: ControlPlane) -> None:
    host = plane.add("host", name="alpha")
    vm = plane.add("vm", name="web\x1b]0;x\x07", host_id=host)
    first = FirstRows(ClientSettings(plane.url))
    await ended(first)
    rows = first.rows()
    assert [(noun, [row["id"] for row in page]) for noun, page in rows.items()] == [
        ("host", [host]),
        ("vm", [vm]),
    ]
    assert "\x1b" not in rows["vm"][0]["name"]


async def test_the_first_page_is_the_top_of_the_list(plane: ControlPlane) -> None:
    """So that the cursor, which stays on its VM, is at the top when the others have come."""
    for number in reversed(range(450)):
        plane.add("vm", name=f"vm-{number:03}", silently=True)
    first = FirstRows(ClientSettings(plane.url))
    await ended(first)
    assert [row["name"] for row in first.rows()["vm"]] == [f"vm-{number:03}" for number in range(200)]
    async with Api(plane.url) as api:
        fleet = Fleet(api)
        await fleet.start()
        await until(lambda: fleet.connection.state == "live")
        assert [vm.name for vm in fleet.vms.values()] == [f"vm-{number:03}" for number in range(450)]
        await fleet.stop()


async def test_a_server_beneath_a_path_is_asked_there(plane: ControlPlane) -> None:
    first = FirstRows(ClientSettings(f"{plane.url}/fleet"))
    await ended(first)
    assert first.rows() == {}
    assert ("GET", "/fleet/hosts") in plane.requests


async def test_nothing_is_waited_for(plane: ControlPlane) -> None:
    plane.delay = 60
    first = FirstRows(ClientSettings(plane.url))
    assert first.rows() == {}
    await plane.kill()
    await ended(first)


async def test_a_refusal_and_silence_leave_it_to_the_client(plane: ControlPlane) -> None:
    plane.refuse("GET", "/vms", 401, {"message": "no"})
    refused, away = (
        FirstRows(ClientSettings(plane.url)),
        FirstRows(ClientSettings(f"http://127.0.0.1:{free_port()}")),
    )
    for first in (refused, away):
        await ended(first)
        assert first.rows() == {}


async def test_a_token_goes_nowhere_unencrypted(plane: ControlPlane) -> None:
    first = FirstRows(ClientSettings("http://192.0.2.1:8000", "secret"))
    await ended(first)
    assert first.rows() == {}
    assert not plane.requests


async def test_the_lists_that_come_later_are_newer(plane: ControlPlane) -> None:
    stays, goes = plane.add("vm", name="stays"), plane.add("vm", name="goes")
    first = FirstRows(ClientSettings(plane.url))
    await ended(first)
    plane.change("vm", stays, status="running")
    plane.remove("vm", goes)
    async with Api(plane.url) as api:
        fleet = Fleet(api)
        fleet.foresee(first.rows())
        assert set(fleet.vms) == {stays, goes}
        batches = fleet.watch()
        assert (await anext(batches)).reset("vm")  # a screen may look before the fleet is started
        await fleet.start()
        await until(lambda: fleet.connection.state == "live")
        assert list(fleet.vms) == [stays]
        assert fleet.vms[stays].status == "running"
        assert (await anext(batches)).reset("vm")
        await fleet.stop()
        await batches.aclose()


def test_the_dashboard_is_imported_without_the_client_library() -> None:
    seen = "import sys, qarax_tui.cli, qarax_tui.app; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", seen], check=False).returncode == 0
