"""The console's bytes arrive once each, in order, whatever breaks in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from qarax_tui.client.api import Api
from qarax_tui.client.console import ConsoleFeed
from qarax_tui.client.console_input import InputState, answered
from qarax_tui.client.errors import ClientError, ReadOnly, ServerAway
from tests.fakes.control_plane import ControlPlane
from tests.tui.waiting import until


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as running:
        yield running


@pytest.fixture
async def vm(plane: ControlPlane) -> str:
    return plane.add("vm", name="web", status="running")


@pytest.fixture
async def feed(plane: ControlPlane, vm: str) -> AsyncIterator[ConsoleFeed]:
    async with Api(plane.url) as api:
        following = ConsoleFeed(api, vm)
        yield following
        await following.stop()


def texts(feed: ConsoleFeed) -> list[str]:
    return [line.text for line in feed.ring.lines(feed.ring.first, 100_000)]


async def live(feed: ConsoleFeed) -> None:
    await feed.start()
    await until(lambda: feed.state == "live")


async def test_the_tail_comes_first_then_what_the_guest_writes(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    plane.console(vm).write(b"".join(b"line %d\r\n" % number for number in range(3_000)))
    await live(feed)
    await until(lambda: feed.ring.end_offset == plane.console(vm).end)
    assert texts(feed)[0] == "line 2000"
    plane.console(vm).write(b"login: ")
    await until(lambda: texts(feed)[-1] == "login: ")


async def test_the_oldest_byte_of_a_large_log_is_one_step_away(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    console.write(b"".join(b"line %06d %s\r\n" % (number, b"." * 60) for number in range(60_000)))
    console.trim(1_000_000)
    await live(feed)
    await until(lambda: feed.ring.end_offset == console.end)
    await feed.to_oldest()
    assert feed.ring.start_offset == console.oldest
    assert feed.ring.detached
    assert not feed.has_older
    console.write(b"login: ")
    while await feed.load_newer():
        pass
    await until(lambda: texts(feed)[-1] == "login: ")
    assert b"".join(feed.raw()) == bytes(console.data)


async def test_history_comes_on_demand_down_to_the_oldest_byte(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    console.write(b"".join(b"line %05d %s\r\n" % (number, b"." * 60) for number in range(30_000)))
    console.trim(1_000_005)
    await live(feed)
    await until(lambda: feed.ring.end_offset == console.end)
    last = feed.ring.lines(feed.ring.end - 1, 1)[0]
    while await feed.load_older():
        pass
    assert b"".join(feed.raw()) == bytes(console.data)
    assert feed.ring.start_offset == console.oldest
    numbers = [int(text.split()[1]) for text in texts(feed)[1:]]
    assert numbers == list(range(numbers[0], 30_000))
    assert feed.ring.lines(last.number, 1)[0] == last
    assert not await feed.load_older()


async def test_a_killed_server_costs_no_byte_and_repeats_none(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    await live(feed)
    for number in range(5):
        console.write(b"before %d\n" % number)
        await plane.kill()
        console.write(b"while away %d\n" % number)
        await until(lambda: feed.state == "away")
        assert feed.sentence
        await plane.revive()
        await until(lambda: feed.ring.end_offset == console.end)
    assert b"".join(feed.raw()) == bytes(console.data)


async def test_bytes_rotated_away_while_disconnected_leave_a_gap_with_its_size(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    console.write(b"one\n")
    await live(feed)
    await until(lambda: texts(feed) == ["one"])
    await plane.kill()
    console.write(b"x" * 5_000 + b"\nafter\n")
    console.trim(4 + 5_001)
    await plane.revive()
    await until(lambda: "after" in texts(feed))
    assert "5,001 bytes" in texts(feed)[1]


async def test_boots_and_gaps_are_lines_of_their_own(plane: ControlPlane, vm: str, feed: ConsoleFeed) -> None:
    console = plane.console(vm)
    console.mark("boot", "first", seconds=1_700_000_000)
    console.write(b"hello\nhalf a li")
    console.lose(42)
    console.write(b"rest\n")
    console.mark("time", seconds=1_700_000_100)
    console.write(b"later\n")
    await live(feed)
    await until(lambda: "later" in texts(feed))
    lines = feed.ring.lines(feed.ring.first, 100)
    assert [line.kind for line in lines] == ["boot", "", "", "gap", "", ""]
    assert "42 bytes" in lines[3].text
    assert feed.ring.time_of(lines[-1].number) == 1_700_000_100
    assert feed.ring.time_of(lines[1].number) == 1_700_000_000


async def test_the_ring_is_bounded_and_history_can_push_the_live_end_out(
    plane: ControlPlane, vm: str
) -> None:
    console = plane.console(vm)
    console.write(b"".join(b"line %06d\r\n" % number for number in range(100_000)))
    async with Api(plane.url) as api:
        feed = ConsoleFeed(api, vm, ring_bytes=600_000)
        await live(feed)
        await until(lambda: feed.ring.end_offset == console.end)
        for _ in range(2):
            await feed.load_older()
        assert feed.ring.detached
        assert feed.ring.size <= 600_000
        console.write(b"newest\n")
        await until(lambda: feed.log.end == console.end > feed.ring.end_offset)
        assert "newest" not in texts(feed)
        while await feed.load_newer():
            assert feed.ring.size <= 600_000
        assert texts(feed)[-1] == "newest"
        numbers = [int(text.split()[1]) for text in texts(feed)[:-1]]
        assert numbers == list(range(numbers[0], 100_000))
        await feed.stop()


async def test_to_live_end_begins_again_with_the_last_lines(plane: ControlPlane, vm: str) -> None:
    console = plane.console(vm)
    console.write(b"".join(b"line %06d\r\n" % number for number in range(100_000)))
    async with Api(plane.url) as api:
        feed = ConsoleFeed(api, vm, ring_bytes=400_000)
        await live(feed)
        await until(lambda: feed.ring.end_offset == console.end)
        await feed.load_older()
        assert feed.ring.detached
        await feed.to_live_end()
        await until(lambda: texts(feed)[-1:] == ["line 099999"])
        assert not feed.ring.detached
        await feed.stop()


async def test_input_is_claimed_taken_over_and_given_back(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    console.holder = "somebody"
    await live(feed)
    with pytest.raises(ClientError):
        await feed.send(b"x")
    await feed.attach()
    await until(lambda: feed.input.holder == "somebody")
    assert not feed.input.attached
    await feed.attach(takeover=True)
    await until(lambda: feed.input.attached)
    await feed.send(b"ls\r")
    await until(lambda: bytes(console.received) == b"ls\r")
    await feed.detach()
    await until(lambda: not feed.input.attached)
    feed.api.read_only = True
    with pytest.raises(ReadOnly):
        await feed.attach()


async def test_a_claim_is_refused_with_the_reason_and_the_stream_goes_on(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    console.refusing = "the role viewer may look and not write"
    await live(feed)
    await feed.attach()
    await until(lambda: feed.input.refused == "the role viewer may look and not write")
    console.write(b"goes on\n")
    await until(lambda: texts(feed)[-1:] == ["goes on"])
    assert feed.state == "live"


async def test_a_claim_of_the_first_moment_waits_for_the_connection(
    plane: ControlPlane, feed: ConsoleFeed
) -> None:
    await feed.start()
    await feed.attach()
    assert feed.input.asked
    await until(lambda: feed.input.attached)
    await plane.kill()
    await until(lambda: feed.state == "away")
    assert not feed.input.attached
    with pytest.raises(ServerAway):
        await feed.attach()
    assert not feed.input.asked


def test_the_answer_to_giving_back_is_none_to_the_claim_after_it() -> None:
    asked = InputState(asked=True)
    assert answered(asked, {"attached": False, "holder": None}) is asked
    assert answered(asked, {"attached": False, "holder": "ann"}).refused == "ann types into this console"
    assert answered(InputState(attached=True), {"attached": False, "holder": "ann"}).refused == ""


async def test_a_deleted_vm_is_gone_and_not_asked_for_again(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    await live(feed)
    plane.remove("vm", vm)
    await plane.kill()
    await plane.revive()
    await until(lambda: feed.state == "gone")


async def test_a_flood_with_random_cuts_arrives_whole(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    console = plane.console(vm)
    await live(feed)
    chance = random.Random(7)
    for number in range(200):
        console.write(chance.randbytes(chance.randrange(20_000)))
        if number % 50 == 49:
            await plane.kill()
            await plane.revive()
        await asyncio.sleep(0)
    await until(lambda: feed.ring.end_offset == console.end)
    assert b"".join(feed.raw()) == bytes(console.data)


async def test_a_flood_wakes_whoever_watches_twenty_times_a_second(
    plane: ControlPlane, vm: str, feed: ConsoleFeed
) -> None:
    plane.console(vm).write(b"login: ")
    await live(feed)
    await until(lambda: feed.ring.size > 0)
    started, wakes = time.monotonic(), 0

    async def watch() -> None:
        nonlocal wakes
        async for _ in feed.watch():
            wakes += 1

    watching = asyncio.create_task(watch())
    for _ in range(200):
        plane.console(vm).write(b"one more line\r\n")
        await asyncio.sleep(0.002)
    await until(lambda: feed.ring.end_offset == plane.console(vm).end)
    seconds = time.monotonic() - started
    watching.cancel()
    assert 3 <= wakes <= seconds / 0.05 + 2
