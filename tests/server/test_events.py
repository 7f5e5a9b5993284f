"""The flight recorder as a page and as a stream."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientResponse

from qarax_server.control.feed import BACKLOG, Subscription
from qarax_server.store.events import Row
from tests.server.running import ControlPlane, Node, start_control_plane, until

STREAM = {"Accept": "text/event-stream"}
ENDED_TRANSFER = """
INSERT INTO transfers (name, source, object_type, transfer_type, status, storage_pool_id, completed_at)
VALUES (
    %(name)s, '/srv/file', 'disk', 'local_copy', 'failed', %(pool_id)s::uuid,
    now() - make_interval(days => %(days)s)
)
"""


async def frames(response: ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield the stream's frames; comments are skipped."""
    fields: dict[str, Any] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield {**fields, "data": json.loads(fields["data"])}
            fields = {}


async def take(stream: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


async def test_a_stream_begins_now_and_misses_nothing(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    newest = (await plane.ok("GET", "/events"))[-1]["sequence"]
    async with plane.session.get(plane.url + "/events", headers=STREAM) as response:
        assert response.content_type == "text/event-stream"
        stream = frames(response)
        hello = await anext(stream)
        assert (hello["event"], hello["data"]) == (
            "hello",
            {"sequence": newest, "newest": newest, "oldest": 1},
        )
        vm_id = await plane.add_vm()
        await plane.ok("POST", f"/vms/{vm_id}/start")
        await plane.ok("DELETE", f"/vms/{vm_id}")
        page = await plane.ok("GET", f"/events?after={newest}")
        seen = await take(stream, len(page))
    assert [int(frame["id"]) for frame in seen] == [event["sequence"] for event in page]
    assert [frame["data"] for frame in seen] == page
    assert [frame["event"] for frame in seen] == [event["subject_type"] for event in page]


async def test_the_story_of_a_vm(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start", x_request_id="my-request")
    await plane.ok("DELETE", f"/vms/{vm_id}")
    story = await plane.ok("GET", f"/events?subject_id={vm_id}")
    for earlier, later in itertools.pairwise(story):
        assert later["before"]["status"] == earlier["after"]["status"]
    assert story[0]["before"] is None
    assert story[-1]["after"] is None
    started = next(e for e in story if e["action"] == "start" and e["after"]["status"] == "running")
    assert (started["actor"], started["request_id"]) == ("local", "my-request")
    assert started["message"] == "vm-1 is running"
    assert started["after"]["operation"] is None
    begun = next(e for e in story if e["action"] == "start")
    assert begun["after"]["operation"]["action"] == "start"


async def test_the_after_of_an_event_is_what_get_answers(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm(networks=[{"id": "n", "interface_type": "tap"}], config={"a": [1]})
    vm = await plane.vm(vm_id)
    events = await plane.ok("GET", f"/events?subject_id={vm_id}&subject_type=vm")
    assert events[-1]["after"] == vm
    assert vm["networks"][0]["mac"].startswith("52:54:00:")


async def test_a_reader_that_comes_back_goes_on_where_it_was(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    events = await plane.ok("GET", "/events")
    last = events[1]["sequence"]
    headers = {**STREAM, "Last-Event-ID": str(last)}
    async with plane.session.get(plane.url + "/events", headers=headers) as response:
        stream = frames(response)
        assert (await anext(stream))["data"]["sequence"] == last
        await plane.ok("POST", f"/vms/{vm_id}/start")
        everything = await plane.ok("GET", f"/events?after={last}")
        seen = await take(stream, len(everything))
    assert [frame["data"] for frame in seen] == everything


async def test_only_what_was_asked_for(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    async with plane.session.get(plane.url + "/events?subject_type=vm&after=0", headers=STREAM) as response:
        stream = frames(response)
        await anext(stream)
        await plane.add_vm()
        assert (await anext(stream))["event"] == "vm"


async def test_a_broken_last_event_id_is_refused(plane: ControlPlane) -> None:
    for text in ("x", "-1", "9" * 30, "\uff11"):
        headers = {**STREAM, "Last-Event-ID": text}
        async with plane.session.get(plane.url + "/events", headers=headers) as response:
            assert response.status == 422, text


async def test_a_subscriber_that_does_not_keep_up_is_cut() -> None:
    subscription = Subscription()
    for number in range(BACKLOG + 10):
        subscription.put(Row(number, "vm", "{}"))
    taken = [subscription.rows.get_nowait() for _ in range(subscription.rows.qsize())]
    assert len(taken) == BACKLOG
    assert taken[-1] is None
    assert [row.sequence for row in taken[:-1] if row] == list(range(BACKLOG - 1))


async def test_many_readers_and_many_writers_agree(plane: ControlPlane) -> None:
    async def read() -> list[int]:
        async with plane.session.get(plane.url + "/events", headers=STREAM) as response:
            stream = frames(response)
            await anext(stream)
            started.release()
            return [int(frame["id"]) for frame in await take(stream, 60)]

    started = asyncio.Semaphore(0)
    readers = [asyncio.create_task(read()) for _ in range(10)]
    for _ in readers:
        await started.acquire()
    new = {"name": "", "address": "127.0.0.1", "host_user": "root"}
    await asyncio.gather(
        *(plane.ok("POST", "/hosts", {**new, "name": f"h{n}", "port": n}) for n in range(1, 61))
    )
    expected = [event["sequence"] for event in await plane.ok("GET", "/events")]
    assert all(seen == expected for seen in await asyncio.gather(*readers))


async def test_history_is_kept_for_the_configured_time(plane: ControlPlane, node: Node) -> None:
    """A server forgets when it starts, and every hour from then on."""
    host_id = await plane.add_host(node)
    await plane.ok("POST", f"/vms/{await plane.add_vm()}/start")
    pool_id = await plane.ok("POST", "/storage-pools", {"name": "images", "pool_type": "local"})
    days = plane.server.settings.retention.events_days
    async with plane.server.core.database.connection() as c:
        for name, age in (("long-ago", days), ("lately", days - 1)):
            await c.execute(ENDED_TRANSFER, name=name, pool_id=pool_id, days=age)
        await c.execute("UPDATE events SET occurred_at = now() - make_interval(days => %(days)s)", days=days)
        await c.execute("UPDATE operations SET ended_at = now() - make_interval(days => %(days)s)", days=days)
    await plane.ok("PATCH", f"/hosts/{host_id}", {"host_user": "other"})
    another = await start_control_plane(plane.server.settings, "another", wait=False)
    try:

        async def forgotten() -> bool:
            return len(await plane.ok("GET", "/events")) == 1

        await until(forgotten)
        assert [event["subject_id"] for event in await plane.ok("GET", "/events")] == [host_id]
        assert await plane.ok("GET", "/operations") == []
        transfers = await plane.ok("GET", f"/storage-pools/{pool_id}/transfers")
        assert [transfer["name"] for transfer in transfers] == ["lately"]
    finally:
        await another.stop()
