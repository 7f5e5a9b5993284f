"""Requests whose work is done in one transaction: shared, kept apart where one is at fault, tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from qarax_server.caller import Caller
from qarax_server.control import claiming
from qarax_server.control.claiming import Place, Wanted
from qarax_server.control.core import Core
from qarax_server.control.files import Files
from qarax_server.control.survey import Survey
from qarax_server.control.tasks import Tasks
from qarax_server.control.together import Together
from qarax_server.database import Database
from qarax_server.errors import Conflict, DatabaseUnavailable, Invalid
from qarax_server.models import Boot, File, NewVm
from qarax_server.server import Server
from qarax_server.settings import Placement, Settings
from qarax_server.store import hosts
from qarax_server.store.hosts import Share
from tests.postgres import TestDatabase
from tests.server.running import settings_of


async def test_what_comes_meanwhile_is_done_as_one() -> None:
    runs: list[list[int]] = []
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def work(items: Sequence[int]) -> list[int]:
        runs.append(list(items))
        began.set()
        await goes_on.wait()
        return [item * 2 for item in items]

    together = Together(Tasks(), work)
    asked = [asyncio.create_task(together.do(number)) for number in range(4)]
    await began.wait()
    late = [asyncio.create_task(together.do(number)) for number in range(4, 7)]
    await asyncio.sleep(0)
    goes_on.set()
    assert await asyncio.gather(*asked, *late) == [number * 2 for number in range(7)]
    assert runs == [[0, 1, 2, 3], [4, 5, 6]]


async def test_one_at_fault_fails_alone() -> None:
    async def work(items: Sequence[int]) -> list[int]:
        if 2 in items:
            raise Conflict("the name is taken")
        return list(items)

    together = Together(Tasks(), work)
    found = await asyncio.gather(*(together.do(number) for number in range(4)), return_exceptions=True)
    assert [found[0], found[1], found[3]] == [0, 1, 3]
    assert isinstance(found[2], Conflict)


async def test_a_database_that_is_away_fails_all_of_them_at_once() -> None:
    runs = 0

    async def work(items: Sequence[int]) -> list[int]:
        nonlocal runs
        runs += len(items)
        raise DatabaseUnavailable("away")

    together = Together(Tasks(), work)
    found = await asyncio.gather(*(together.do(number) for number in range(4)), return_exceptions=True)
    assert all(isinstance(each, DatabaseUnavailable) for each in found)
    assert runs == 4


async def test_none_is_tried_again_and_a_waiter_that_left_is_no_matter() -> None:
    seen: list[int] = []

    async def work(items: Sequence[int]) -> list[int | None]:
        again = [None if item not in seen else item for item in items]
        seen.extend(items)
        return again

    together = Together(Tasks(), work)
    asked = [asyncio.create_task(together.do(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert await asked[1] == 2
    assert await together.do(3) == 3


HOSTS = """
INSERT INTO hosts (id, name, address, port, host_user, status, cpus, memory_bytes, usable_drivers)
SELECT
    ('00000000-0000-4000-8000-00000000000' || n)::uuid,
    'host-' || n, '::1', n, 'me', 'up', 1, 1024, '{qemu}'
FROM generate_series(1, 2) AS n"""
WANTED = Wanted(
    NewVm("v", "cloud_hv", 1, 1, 1024), Files(Boot(File("/", "/kernel"), None, "")), Caller("me", "request")
)


@pytest.fixture
async def core(database: Database, database_settings: TestDatabase) -> AsyncIterator[Core]:
    """A server's decisions over two hosts with room for one VM each."""
    async with database.connection() as c:
        await c.execute(HOSTS)
    server = Server(Settings(database=settings_of(database_settings), placement=Placement(1.0, 1.0)), "test")
    yield server.core
    await server.close()


async def claimed(core: Core, count: int) -> list[Place | Invalid | None]:
    async with core.database.transaction() as tx:
        return await claiming.claim(core, tx, [WANTED] * count)


async def test_as_many_as_there_is_room_for_find_a_place_at_once(core: Core) -> None:
    first, second, third = await claimed(core, 3)
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert {first.host.name, second.host.name} == {"host-1", "host-2"}
    assert isinstance(third, Invalid)
    assert third.details["placement"]["counts"] == {"memory": 2}


async def test_room_that_somebody_else_took_meanwhile_is_looked_for_again(core: Core) -> None:
    async with core.database.connection() as c:
        core.survey = Survey(await hosts.list_candidates(c), core.settings.placement)
    async with core.database.transaction() as tx:
        rival = Share("00000000-0000-4000-8000-000000000001", 1, 1024)
        assert await hosts.claim_host(tx, rival, core.settings.placement)
    lost, placed = await claimed(core, 2)
    assert lost is None
    assert isinstance(placed, Place)
    (refused,) = await claimed(core, 1)
    assert isinstance(refused, Invalid)


async def test_each_claim_has_its_event_with_its_actor(core: Core) -> None:
    await claimed(core, 2)
    async with core.database.connection() as c:
        found = await c.fetch_all("SELECT actor, request_id, subject_name FROM events ORDER BY subject_name")
    assert found == [
        {"actor": "me", "request_id": "request", "subject_name": name} for name in ("host-1", "host-2")
    ]
