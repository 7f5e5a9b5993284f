"""Ten thousand rows pass through as the text that PostgreSQL wrote."""

from __future__ import annotations

import json
import time

from yarl import URL

from qarax_server.control.core import Core
from tests.server.api.conftest import Client

FILL = """
WITH host AS (
    INSERT INTO hosts (name, address, port, host_user, reachable) VALUES ('h', '127.0.0.1', 1, 'root', true)
    RETURNING id
)
INSERT INTO vms (name, hypervisor, driver, status, host_id, boot_vcpus, max_vcpus, memory_size, networks)
SELECT 'vm-' || n, 'cloud_hv', 'simulated', 'running', host.id, 1, 1, 67108864, '[]'
FROM host, generate_series(1, 10000) AS n
"""
BARE = "SELECT json_agg(r)::text AS body FROM (SELECT * FROM vm_resources ORDER BY created_at, id) AS r"


async def test_the_whole_list_costs_little_more_than_its_query(api: Client, core: Core) -> None:
    """The goal is 1.5 times, measured by the performance table; here a bound that noise does not reach."""
    async with core.database.connection() as connection:
        await connection.execute(FILL)
        await connection.execute("ANALYZE")
        bare, listed = [], []
        for _ in range(3):
            began = time.monotonic()
            expected = await connection.fetch_value(BARE)
            bare.append(time.monotonic() - began)
            began = time.monotonic()
            async with api.get("/vms") as response:
                body = await response.read()
            listed.append(time.monotonic() - began)
    assert response.headers["X-Total-Count"] == "10000"
    assert json.loads(body) == json.loads(expected)
    assert min(listed) < 3 * min(bare), (listed, bare)


async def test_a_page_far_down_costs_what_the_first_one_costs(api: Client, core: Core) -> None:
    async with core.database.connection() as connection:
        await connection.execute(FILL)
        await connection.execute("ANALYZE")
    seconds = []
    path: URL | None = URL("/vms?limit=1000")
    seen: set[str] = set()
    while path is not None:
        began = time.monotonic()
        async with api.get(path) as response:
            seen |= {vm["id"] for vm in await response.json()}
            following = response.links.get("next")
            path = URL(following["url"]).relative() if following else None
        seconds.append(time.monotonic() - began)
    assert len(seen) == 10000
    assert seconds[-2] < 5 * seconds[1], seconds
