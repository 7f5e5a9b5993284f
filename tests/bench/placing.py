"""P5: decisions where a VM goes, exact under contention, against the bare claim."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

from qarax_server import caller
from qarax_server.control import claiming
from qarax_server.control.claiming import Place, Wanted
from qarax_server.control.core import Core
from qarax_server.control.files import Files
from qarax_server.errors import Invalid
from qarax_server.models import Boot, File, NewVm
from qarax_server.server import Server
from qarax_server.settings import Placement, Settings
from tests.bench import programs
from tests.bench.fleet import MEMORY, cursor, insert_hosts
from tests.bench.measure import in_turns, median, ratios, spread
from tests.bench.rows import Bench, Line, row
from tests.faults.world import durable
from tests.postgres import TestDatabase
from tests.server.running import settings_of

HOSTS, AT_ONCE = 1_000, 16
CLAIM = """
\\set n random(0, :hosts - 1)
UPDATE hosts
SET allocated_vcpus = allocated_vcpus + 1, allocated_memory_bytes = allocated_memory_bytes + :memory,
    updated_at = now()
WHERE name = 'host-' || lpad(:n::text, 4, '0') AND status = 'up'
    AND allocated_vcpus + 1 <= floor(cpus * 1.0)
    AND allocated_memory_bytes + :memory <= floor(memory_bytes * 1.0)
RETURNING id;
"""
RESET = "UPDATE hosts SET allocated_vcpus = 0, allocated_memory_bytes = 0, memory_bytes = %s, cpus = %s"
WRONG = """
SELECT count(*) FILTER (WHERE allocated_vcpus > cpus OR allocated_memory_bytes > memory_bytes),
    sum(allocated_vcpus), sum(allocated_memory_bytes) FROM hosts"""
WANTED = Wanted(
    NewVm("bench", "cloud_hv", 1, 1, MEMORY), Files(Boot(File("/", "/kernel"), None, "")), caller.SERVER
)


@row("P5")
async def decisions(bench: Bench) -> list[Line]:
    """Decide among 1,000 hosts by all rules and claim, each in a transaction that reaches the disk."""
    count = bench.size(2_000, 400)
    with bench.postgres.fresh_database() as database:
        durable(bench.postgres, database)
        insert_hosts(database.dsn, HOSTS, 10_000, cpus=1, memory=MEMORY, status="up")
        patient = replace(settings_of(database), statement_timeout_seconds=60.0)
        settings = Settings(database=patient, placement=Placement(1.0, 1.0))
        server = Server(settings, "bench")

        async def ours() -> float:
            _reset(database, server.core, count)
            began = time.perf_counter()
            assert await _claim_all(server.core, count) == count
            seconds = time.perf_counter() - began
            _assert_exact(database, count)
            return count / seconds

        async def theirs() -> float:
            _reset(database, server.core, count)
            sizes = {"hosts": HOSTS, "memory": MEMORY}
            return (await programs.pgbench(database, CLAIM, AT_ONCE, count // AT_ONCE, **sizes))["tps"]

        try:
            mine, other = await in_turns(bench.rounds, ours, theirs)
            await _assert_no_false_refusal(server.core, database)
        finally:
            await server.close()
    share = ratios(mine, other)
    return [
        Line(
            "P5",
            f"placement decisions among {HOSTS:,} hosts",
            f"{median(mine):.0f} /s",
            f"pgbench, the bare claim of a random host {median(other):.0f} /s",
            "≥ 0.25×, exact",
            median(share) >= 0.25,
            median(share),
            spread(share),
            "One Python process: a table of verdicts and the claim's event for each; those that wait share "
            "a transaction. The peer looks at one host, writes no event, and has both cores.",
            {"decisions_a_second": mine, "pgbench_claims_a_second": other},
        )
    ]


def _reset(database: TestDatabase, core: Core, count: int, spare: int = 2) -> None:
    """Every host empty, with room for `spare` times as many as will come."""
    each = max(1, count * spare // HOSTS)
    with cursor(database.dsn) as found:
        found.execute(RESET, (each * MEMORY, each))
    core.survey = None


async def _claim(core: Core, wanted: Sequence[Wanted]) -> Sequence[Place | Invalid | None]:
    """Those that wait at the moment, in one transaction, as creations are."""
    async with core.database.transaction() as tx:
        return await claiming.claim(core, tx, wanted)


async def _claim_all(core: Core, count: int) -> int:
    """Claim so many, some at a time; return how many got a place."""
    waiting = iter(range(count))
    placed = itertools.count()

    async def client() -> None:
        for _ in waiting:
            with contextlib.suppress(Invalid):
                await core.together(_claim).do(WANTED)
                next(placed)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())
    return next(placed)


def _assert_exact(database: TestDatabase, count: int) -> None:
    with cursor(database.dsn) as found:
        found.execute(WRONG)
        assert found.fetchone() == (0, count, count * MEMORY), "a host is overfull, or a claim was lost"


async def _assert_no_false_refusal(core: Core, database: TestDatabase) -> None:
    """As many as there is room for find it, all at once, and not one more."""
    _reset(database, core, HOSTS, spare=1)
    assert await _claim_all(core, HOSTS + AT_ONCE) == HOSTS
    _assert_exact(database, HOSTS)
