"""P4 and P5: making VMs through the API, and deciding where they go."""

from __future__ import annotations

import itertools
import uuid

from tests.bench import bare, programs
from tests.bench.fleet import MEMORY, cursor, fleet
from tests.bench.load import all_at_once
from tests.bench.measure import in_turns, median, ratios, spread
from tests.bench.rows import Bench, Line, row
from tests.faults.world import World
from tests.postgres import TestDatabase
from tests.server.running import new_vm

HOSTS, CLIENTS = 100, 50
CLAIM_AND_INSERT = """
\\set n random(0, :hosts - 1)
WITH claimed AS (
    UPDATE hosts
    SET allocated_vcpus = allocated_vcpus + 1, allocated_memory_bytes = allocated_memory_bytes + :memory,
        updated_at = now()
    WHERE name = 'host-' || lpad(:n::text, 4, '0') AND status = 'up'
        AND allocated_vcpus + 1 <= cpus * 1000 AND allocated_memory_bytes + :memory <= memory_bytes
    RETURNING id
)
INSERT INTO vms (name, hypervisor, driver, host_id, boot_vcpus, max_vcpus, memory_size)
SELECT 'peer-' || gen_random_uuid(), 'cloud_hv', 'simulated', id, 1, 1, :memory FROM claimed;
"""


@row("P4")
async def creates(bench: Bench) -> list[Line]:
    """Creates a second, each placed, kept and told to its node, against a bare claim and insert."""
    each = bench.size(20, 4)
    count = CLIENTS * each
    numbers = itertools.count(1)
    async with fleet(bench, HOSTS, 0) as world, bare.beside(world) as bare_url:
        assert_memory = _capacity(world.database)

        async def ours() -> float:
            requests = [("/vms", new_vm(f"bench-{next(numbers)}", memory_size=MEMORY)) for _ in range(count)]
            seconds, answers = await all_at_once(world.url, "POST", requests, CLIENTS, 201)
            ids = {str(uuid.UUID(answer.decode())) for answer in answers}
            assert len(ids) == count, "an id was given twice"
            return count / seconds

        async def theirs() -> float:
            sizes = {"hosts": HOSTS, "memory": MEMORY}
            found = await programs.pgbench(world.database, CLAIM_AND_INSERT, CLIENTS, each, **sizes)
            assert found["failed"] == 0
            return found["tps"]

        async def floor() -> float:
            requests = [("/vms", new_vm("bare", memory_size=MEMORY)) for _ in range(count)]
            seconds, answers = await all_at_once(bare_url, "POST", requests, CLIENTS, 201)
            assert len(set(answers)) == count
            return count / seconds

        mine, other, least = await in_turns(bench.rounds, ours, theirs, floor)
        _assert_exact(world, len(mine) * count, assert_memory)
    share = ratios(mine, other)
    return [
        Line(
            "P4",
            f"{count:,} creates, {CLIENTS} at a time, {HOSTS} hosts",
            f"{median(mine):.0f} /s",
            f"pgbench claim + insert {median(other):.0f} /s",
            "≥ 0.2×, 0 duplicates, 0 over capacity",
            median(share) >= 0.2,
            median(share),
            spread(share),
            "Both cores: one Python process's requests and RPCs, its nodes' part, and five events per VM. "
            "Creations that wait share their two transactions; the floor is a handler that does the two bare "
            "transactions and the RPC and nothing else.",
            {"creates_a_second": mine, "pgbench_transactions_a_second": other},
        ),
        Line(
            "P4",
            "the same against its floor in one Python process",
            f"{median(mine):.0f} /s",
            f"bare aiohttp handler, 2 transactions + 1 RPC {median(least):.0f} /s",
            "–",
            None,
            median(ratios(mine, least)),
            spread(ratios(mine, least)),
            samples={"bare_creates_a_second": least},
        ),
    ]


def _capacity(database: TestDatabase) -> int:
    with cursor(database.dsn) as found:
        found.execute("SELECT min(memory_bytes) FROM hosts")
        row = found.fetchone()
    assert row is not None
    return int(row[0])


def _assert_exact(world: World, made: int, capacity: int) -> None:
    """No VM twice or lost, no host over its capacity, every share the sum of its VMs."""
    with cursor(world.database.dsn) as found:
        found.execute(
            "SELECT count(*), count(DISTINCT name) FROM vms WHERE name LIKE 'bench-%' AND status = 'created'"
        )
        assert found.fetchone() == (made, made)
        found.execute(
            "SELECT count(*) FROM hosts AS h WHERE allocated_memory_bytes > %s OR allocated_memory_bytes <> "
            "(SELECT coalesce(sum(memory_size), 0) FROM vms AS v WHERE v.host_id = h.id)",
            (capacity,),
        )
        assert found.fetchone() == (0,), "a host's share is not the sum of its VMs"
