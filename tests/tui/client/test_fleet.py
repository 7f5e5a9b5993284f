"""The cache follows the control plane: lists first, then events, through every kind of loss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from qarax_tui.client.api import Api
from qarax_tui.client.connection import Backoff
from qarax_tui.client.event_stream import Frame, parse
from qarax_tui.client.fleet import Fleet
from tests.fakes.control_plane import ControlPlane
from tests.tui.waiting import DEADLINE, until


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as running:
        yield running


@pytest.fixture
async def fleet(plane: ControlPlane) -> AsyncIterator[Fleet]:
    async with Api(plane.url) as api:
        following = Fleet(api)
        yield following
        await following.stop()


async def live(fleet: Fleet) -> None:
    await fleet.start()
    await until(lambda: fleet.connection.state == "live")


async def test_lists_then_events_fill_the_cache(plane: ControlPlane, fleet: Fleet) -> None:
    host = plane.add("host", name="alpha", status="up")
    vm = plane.add("vm", name="web", host_id=host)
    await live(fleet)
    assert fleet.vms[vm].name == "web"
    assert fleet.hosts[host].status == "up"
    assert [event.subject_id for event in fleet.events] == [host, vm]

    plane.change("vm", vm, "start", status="running")
    await until(lambda: fleet.vms[vm].status == "running")
    assert "status: created → running" in fleet.events[-1].changes
    plane.remove("vm", vm)
    await until(lambda: vm not in fleet.vms)


async def test_a_long_list_comes_in_pages(plane: ControlPlane, fleet: Fleet) -> None:
    ids = {plane.add("vm", silently=True) for _ in range(450)}
    await live(fleet)
    assert set(fleet.vms) == ids
    assert plane.requests.count(("GET", "/vms")) == 3


async def test_changes_come_in_batches_by_noun(plane: ControlPlane, fleet: Fleet) -> None:
    vm = plane.add("vm")
    await live(fleet)
    batches = fleet.watch()
    first = await anext(batches)
    assert first.reset("vm")
    for number in range(50):
        plane.change("vm", vm, description=str(number))
    other = plane.add("vm")
    plane.remove("vm", other)
    changed: set[str] = set()
    removed: set[str] = set()
    taken = 0
    while not removed:
        batch = await asyncio.wait_for(anext(batches), DEADLINE)
        changed |= batch.changed("vm")
        removed |= batch.removed("vm")
        taken += 1
    assert vm in changed
    assert removed == {other}
    assert taken < 20
    await batches.aclose()


async def test_a_killed_server_is_a_state_and_nothing_is_listed_again(
    plane: ControlPlane, fleet: Fleet
) -> None:
    vm = plane.add("vm", status="running")
    await live(fleet)
    await plane.kill()
    await until(lambda: fleet.connection.state == "away")
    assert fleet.connection.sentence
    assert fleet.vms[vm].status == "running"
    plane.change("vm", vm, status="paused")
    plane.requests.clear()
    revived = time.monotonic()
    await plane.revive()
    await until(lambda: fleet.connection.state == "live" and fleet.vms[vm].status == "paused")
    assert time.monotonic() - revived < 2.0
    assert ("GET", "/vms") not in plane.requests


def test_however_long_it_was_away_the_next_try_is_less_than_two_seconds_off() -> None:
    backoff = Backoff()
    assert max(backoff.next() for _ in range(50)) < 2


async def test_everything_is_listed_anew_when_the_events_are_forgotten(
    plane: ControlPlane, fleet: Fleet
) -> None:
    gone, kept = plane.add("vm"), plane.add("vm")
    await live(fleet)
    await plane.kill()
    plane.remove("vm", gone)
    plane.change("vm", kept, status="paused")
    plane.forget_events()
    await plane.revive()
    await until(lambda: gone not in fleet.vms and fleet.vms[kept].status == "paused")


async def test_a_change_during_the_first_list_is_not_undone_by_it(plane: ControlPlane, fleet: Fleet) -> None:
    ids = [plane.add("vm", silently=True) for _ in range(250)]
    plane.delay = 0.05
    await fleet.start()
    await until(lambda: ("GET", "/hosts") in plane.requests)
    plane.remove("vm", ids[0])
    plane.change("vm", ids[249], status="running")
    await until(lambda: fleet.connection.state == "live")
    await until(lambda: ids[0] not in fleet.vms)
    assert fleet.vms[ids[249]].status == "running"


async def test_details_stay_current(plane: ControlPlane, fleet: Fleet) -> None:
    vm = plane.add("vm", description="one", something_new={"deep": [1]})
    await live(fleet)
    assert (await fleet.details("vm", vm))["something_new"] == {"deep": [1]}
    plane.change("vm", vm, description="two")
    await until(lambda: (fleet.raw("vm", vm) or {}).get("description") == "two")


@pytest.mark.parametrize(
    "body",
    [
        b"event: hello\ndata: not json\n\n",
        b'event: hello\ndata: [1]\n\nevent: vm\ndata: {}\n\nevent: vm\ndata: {"sequence": "x"}\n\n',
        b"event: vm\ndata: {}\n\n",
        b"\xff\xfe\n\n",
        b"event: hello\ndata: " + b"[" * 100_000 + b"\n\n",
        b"",
    ],
)
async def test_whatever_answers_the_fleet_says_so_and_goes_on(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + body
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Api(f"http://127.0.0.1:{port}") as api:
        fleet = Fleet(api)
        await fleet.start()
        await until(lambda: fleet.connection.state == "away")
        assert fleet.connection.sentence
        await fleet.stop()
    server.close()


async def test_one_list_that_is_refused_spoils_no_other(plane: ControlPlane, fleet: Fleet) -> None:
    host = plane.add("host", silently=True)
    vm = plane.add("vm", silently=True)
    for _ in range(2):
        plane.refuse("GET", "/hosts", 500, {"message": "The list is broken."})
    await fleet.start()
    await until(lambda: fleet.connection.state == "live")
    assert vm in fleet.vms
    assert fleet.refused == {"host": "The list is broken."}
    await until(lambda: host in fleet.hosts)
    assert fleet.refused == {}


def test_fields_of_a_frame() -> None:
    assert parse(b"id: 7\nevent: vm\ndata: {\ndata:  1}") == Frame("vm", b"{\n 1}")
    assert parse(b"data\ndatum: no\nevents: no") == Frame("message", b"")
    assert parse(b": heartbeat\nid: 7") is None
