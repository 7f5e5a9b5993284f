"""Every list pages, sorts and counts alike; ten thousand rows pass through as PostgreSQL wrote their text."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
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


SOME = """
INSERT INTO hosts (id, name, address, port, host_user, reachable)
SELECT gen_random_uuid(), 'same-' || n, '127.0.0.1', n, 'root', true FROM generate_series(1, 7) AS n;
INSERT INTO storage_pools (id, name, pool_type)
VALUES ('00000000-0000-4000-8000-000000000001', 'p', 'local');
INSERT INTO storage_pools (name, pool_type) SELECT 'pool-' || n, 'local' FROM generate_series(1, 6) AS n;
INSERT INTO storage_objects (name, storage_pool_id, object_type, size_bytes)
SELECT 'object-' || n, '00000000-0000-4000-8000-000000000001', 'kernel', 1 FROM generate_series(1, 7) AS n;
INSERT INTO boot_sources (name, kernel_image_id)
SELECT 'source-' || name, id FROM storage_objects;
INSERT INTO transfers (name, source, object_type, transfer_type, status, storage_pool_id)
SELECT 'same', '/x', 'disk', 'local_copy', 'failed', '00000000-0000-4000-8000-000000000001'
FROM generate_series(1, 7);
INSERT INTO vms (name, hypervisor, host_id, boot_vcpus, max_vcpus, memory_size)
SELECT 'vm-' || name, 'cloud_hv', id, 1, 1, 1048576 FROM hosts;
INSERT INTO operations (subject_type, subject_id, subject_name, action, status, actor, request_id)
SELECT 'vm', id, name, 'start', 'failed', 'local', 'r' FROM vms;
INSERT INTO orphans (host_id, vm_id, name, status)
SELECT id, '00000000-0000-4000-8000-000000000002', 'the same on every host', 'running' FROM hosts;
"""
LISTS = (
    "/hosts",
    "/storage-pools",
    "/storage-pools/00000000-0000-4000-8000-000000000001/transfers",
    "/storage-objects",
    "/boot-sources",
    "/vms",
    "/operations",
    "/orphans",
)


async def pages(api: Client, path: str) -> list[Any]:
    """Follow the links from a page on; the total stays the same."""
    seen: list[Any] = []
    url: URL | None = URL(path)
    while url is not None:
        async with api.get(url) as response:
            page = await response.json()
            assert (response.status, response.headers["X-Total-Count"]) == (200, "7"), page
            assert len(page) <= 3
            following = response.links.get("next")
        seen += page
        url = URL(following["url"]).relative() if following else None
    return seen


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_is_paged_sorted_and_counted_alike(api: Client, core: Core, path: str) -> None:
    async with core.database.connection() as connection:
        await connection.execute(SOME)
    for sort in ("created_at", "-created_at", "name", "-name"):
        async with api.get(f"{path}?sort={sort}") as response:
            whole = await response.json()
            assert response.headers["X-Total-Count"] == "7"
            assert "Link" not in response.headers
        assert await pages(api, f"{path}?limit=3&sort={sort}") == whole
        assert len({json.dumps(each) for each in whole}) == 7
    for refused in (
        "limit=0",
        "limit=1001",
        "limit=2.5",
        "sort=size",
        "colour=red",
        "cursor=x",
        "limit=3&cursor=x",
    ):
        async with api.get(f"{path}?{refused}") as response:
            answer = await response.json()
            assert response.status == 422, (refused, answer)
            assert answer["errors"], refused


async def test_a_cursor_belongs_to_its_list_and_order(api: Client, core: Core) -> None:
    async with core.database.connection() as connection:
        await connection.execute(SOME)
    async with api.get("/orphans?limit=3&sort=name") as response:
        cursor = URL(str(response.links["next"]["url"])).query["cursor"]
    for other in ("/hosts?limit=3&sort=name", "/orphans?limit=3&sort=-name", "/orphans?sort=name"):
        async with api.get(f"{other}&cursor={cursor}") as response:
            assert (response.status, (await response.json())["code"]) == (422, "bad_cursor"), other


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
    paths = [URL("/vms?limit=1000")]
    seen: set[str] = set()
    while True:
        async with api.get(paths[-1]) as response:
            seen |= {vm["id"] for vm in await response.json()}
            following = response.links.get("next")
        if following is None:
            break
        paths.append(URL(following["url"]).relative())
    assert len(seen) == 10000
    near, far = [await seconds_of(api, path) for path in (paths[1], paths[-2])]
    assert far < 5 * near, (near, far)


async def seconds_of(api: Client, path: URL) -> float:
    """The quickest of a few answers: another program may be in the way of one."""
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        async with api.get(path) as response:
            await response.read()
        seconds.append(time.monotonic() - began)
    return min(seconds)
