"""P1 and P2: the whole list, and a page of it."""

from __future__ import annotations

import json
import time
from http import HTTPStatus

from qarax_server.database import Database
from qarax_server.store import vms
from qarax_server.store.paging import Page, list_page
from tests.bench import programs
from tests.bench.fleet import fleet
from tests.bench.load import Wire, connected
from tests.bench.measure import in_turns, median, percentile, ratios, spread
from tests.bench.rows import Bench, Line, row
from tests.server.running import settings_of

PAGE = 100
NO_FILTERS = {"name": None, "status": None, "host_id": None}
WHOLE = "SELECT json_agg(r) FROM (SELECT * FROM vm_resources ORDER BY created_at, id) AS r"
PAGE_ROUNDS = 60


@row("P1")
async def whole_list(bench: Bench) -> list[Line]:
    """`GET /vms` by curl against the same by psql: a process, a connection, a body, each."""
    count = bench.size(10_000, 1_000)
    async with fleet(bench, 1, count) as world:
        query = programs.psql(world.database, WHOLE)
        curl = programs.installed("curl")
        assert curl, "curl is not installed"

        async def ours() -> float:
            return await _timed_list(count, curl, "-s", f"{world.url}/vms")

        async def theirs() -> float:
            return await _timed_list(count, *query)

        await _assert_same(await programs.run(curl, "-s", f"{world.url}/vms"), await programs.run(*query))
        mine, other = await in_turns(2 * bench.rounds + 1, ours, theirs)
    share = ratios(mine, other)
    return [
        Line(
            "P1",
            f"GET /vms, {count:,} VMs",
            f"{median(mine) * 1000:.0f} ms",
            f"psql {median(other) * 1000:.0f} ms",
            "≤ 1.5×",
            median(share) <= 1.5,
            median(share),
            spread(share),
            "PostgreSQL writes the JSON and the server hands it on as it came: what is left is one copy "
            "through the driver and one through HTTP.",
            {"server_seconds": mine, "psql_seconds": other},
        )
    ]


async def _timed_list(count: int, *command: str) -> float:
    began = time.perf_counter()
    body = await programs.run(*command)
    seconds = time.perf_counter() - began
    assert body.count(b'"hypervisor":') == count, body[:200]
    return seconds


async def _assert_same(body: bytes, other: bytes) -> None:
    mine, theirs = json.loads(body), json.loads(other)
    assert mine == theirs, "the server's list is not what the database holds"


@row("P2")
async def deep_page(bench: Bench) -> list[Line]:
    """A page through HTTP against the same statement through the same driver, and its cost by depth."""
    count = bench.size(10_000, 1_000)
    depth = count - PAGE
    async with fleet(bench, 1, count) as world, connected(world.url) as wire:
        addresses = await _cursors(wire, count)
        database = Database(settings_of(world.database))
        last = Page(PAGE, "created_at", await _key_at(database, depth))

        async def bare() -> float:
            began = time.perf_counter()
            async with database.connection() as c:
                found = await list_page(c, vms.LISTING, last, NO_FILTERS)
            seconds = time.perf_counter() - began
            assert found.body.count('"hypervisor":') == PAGE
            return seconds

        shallow, ours, theirs = await in_turns(
            PAGE_ROUNDS,
            lambda: _timed_page(wire, addresses[0]),
            lambda: _timed_page(wire, addresses[depth]),
            bare,
        )
        await database.close()
    share, flat = ratios(ours, theirs), median(ours) / median(shallow)
    return [
        Line(
            "P2",
            f"a page of {PAGE} at depth {depth:,}",
            f"{median(ours) * 1000:.1f} ms (p99 {percentile(ours, 0.99) * 1000:.1f})",
            f"the statement {median(theirs) * 1000:.1f} ms",
            "≤ 4×",
            median(share) <= 4,
            median(share),
            spread(share),
            "The statement counts the whole list for X-Total-Count; the page itself is an index scan.",
            {"server_seconds": ours, "statement_seconds": theirs},
        ),
        Line(
            "P2",
            f"the same page at depth {depth:,} and at 0",
            f"{median(ours) * 1000:.1f} ms",
            f"depth 0: {median(shallow) * 1000:.1f} ms",
            "1.0× ± 10 %",
            abs(flat - 1) <= 0.1,
            flat,
            spread(ratios(ours, shallow)),
            "",
            {"depth_0_seconds": shallow},
        ),
    ]


async def _timed_page(wire: Wire, path: str) -> float:
    began = time.perf_counter()
    reply = await wire.ask("GET", path)
    seconds = time.perf_counter() - began
    assert reply.status == HTTPStatus.OK, reply
    assert reply.body.count(b'"hypervisor":') == PAGE
    return seconds


async def _cursors(wire: Wire, count: int) -> dict[int, str]:
    """Walk all pages once: the address of the page at each depth, and every VM seen exactly once."""
    addresses = {0: f"/vms?limit={PAGE}"}
    seen: set[str] = set()
    for depth in range(PAGE, count + PAGE, PAGE):
        reply = await wire.ask("GET", addresses[depth - PAGE])
        seen |= {vm["id"] for vm in json.loads(reply.body)}
        assert len(seen) == depth, "a VM came twice, or not at all"
        addresses[depth] = reply.header(b"link").partition(b">")[0].decode().removeprefix("<")
    return addresses


async def _key_at(database: Database, depth: int) -> tuple[str, str]:
    """The key of the last VM before a depth: its time and id."""
    statement = "SELECT created_at::text AS time, id FROM vms ORDER BY created_at, id OFFSET %(n)s LIMIT 1"
    async with database.connection() as c:
        found = await c.fetch_one(statement, n=depth - 1)
    assert found is not None
    return found["time"], found["id"]
