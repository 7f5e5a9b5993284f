"""F9: under one Idempotency-Key something happens once, and every request gets the same answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from multidict import CIMultiDict

from qarax_server.api import idempotency
from qarax_server.control.core import Core
from qarax_server.control.tenure import Tenure
from tests.server.api.conftest import Client, get
from tests.server.running import until

BODY = {"name": "images", "pool_type": "local"}


async def post(api: Client, key: str, body: Any) -> tuple[int, str, str | None]:
    async with api.post("/storage-pools", json=body, headers={"Idempotency-Key": key}) as response:
        return response.status, await response.text(), response.headers.get("Location")


async def test_a_hundred_at_once_make_one(api: Client) -> None:
    answers = await asyncio.gather(*(post(api, "k1", BODY) for _ in range(100)))
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    assert len(await get(api, "/storage-pools")) == 1


async def test_later_ones_get_the_same_answer_even_when_it_is_a_refusal(api: Client) -> None:
    first = await post(api, "k1", BODY)
    assert await post(api, "k1", BODY) == first
    refused = await post(api, "k2", BODY)
    assert refused[0] == 409
    await api.delete(f"/storage-pools/{first[1]}")
    assert await post(api, "k2", BODY) == refused
    assert await post(api, "k1", BODY) == first


async def test_another_body_or_route_under_the_key_is_refused(api: Client) -> None:
    await post(api, "k1", BODY)
    status, text, _ = await post(api, "k1", BODY | {"name": "other"})
    assert (status, "idempotency_key_reused" in text) == (422, True)
    assert (await post(api, "not a key \u00e4", BODY))[0] == 422
    twice = CIMultiDict([("Idempotency-Key", "k2"), ("Idempotency-Key", "k3")])
    async with api.post("/storage-pools", json=BODY, headers=twice) as response:
        assert response.status == 422


async def test_an_answer_of_a_server_that_slept_is_not_kept(api: Client, core: Core) -> None:
    """By then another one may have answered under the same key."""
    async with core.database.transaction() as tx:
        await tx.execute("LOCK TABLE storage_pools IN EXCLUSIVE MODE")
        asked = asyncio.create_task(post(api, "k1", BODY))
        await until(lambda: _waits(core))
        tenure, core.lease._tenure = core.lease._tenure, Tenure()
    await asked
    core.lease._tenure = tenure
    async with core.database.connection() as connection:
        assert await connection.fetch_values("SELECT answer_status FROM idempotency_keys") == [None]


async def _waits(core: Core) -> Any:
    async with core.database.connection() as connection:
        return await connection.fetch_values(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )


async def test_a_request_that_was_cut_off_is_taken_up_by_its_id(api: Client, core: Core) -> None:
    """As after a crash between the row and its answer, and between the key and the row."""
    first = await post(api, "k1", BODY)
    async with core.database.connection() as connection:
        await connection.execute("UPDATE idempotency_keys SET answer_status = NULL")
    assert await post(api, "k1", BODY) == first
    async with core.database.connection() as connection:
        await connection.execute("UPDATE idempotency_keys SET answer_status = NULL")
        await connection.execute("DELETE FROM storage_pools")
    assert await post(api, "k1", BODY) == first
    assert [pool["id"] for pool in await get(api, "/storage-pools")] == [first[1]]


async def test_a_duplicate_does_not_wait_for_ever(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    app = api.app
    assert app is not None
    app[idempotency.RUNNING]["local", "k1"] = asyncio.Event()
    status, text, _ = await post(api, "k1", BODY)
    assert (status, "idempotency_key_in_use" in text) == (409, True)
    assert await get(api, "/storage-pools") == []


async def test_a_key_is_forgotten_after_a_day(api: Client, core: Core) -> None:
    await post(api, "k1", BODY)
    async with core.database.connection() as connection:
        await connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    status, _, _ = await post(api, "k1", BODY | {"name": "other"})
    assert status == 201
