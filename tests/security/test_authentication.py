"""Bearer tokens on a real server: what is let in, as whom, for how long, and how often one may fail."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qarax_server.control.failures import MOST_ADDRESSES, Failures
from qarax_server.settings import Auth
from qarax_server.store.tokens import revoke_token
from tests.postgres import TestDatabase
from tests.security.guarded import Tokens, bearer, make_tokens
from tests.server.running import (
    ControlPlane,
    Node,
    control_plane,
    new_vm,
    settings_for,
    start_control_plane,
    until,
)

pytestmark = pytest.mark.security

HOST = {"name": "h", "address": "127.0.0.1", "port": 1, "host_user": "root"}
STREAM = {"Accept": "text/event-stream"}


async def test_the_tokens_name_is_the_actor_of_what_is_done_with_it(
    plane: ControlPlane, tokens: Tokens
) -> None:
    await plane.ok("POST", "/hosts", HOST, **bearer(tokens.admin))
    (event,) = await plane.ok("GET", "/events?subject_type=host", **bearer(tokens.viewer))
    assert (event["action"], event["actor"]) == ("create", "admin")


async def test_an_operations_actor_is_the_token_that_started_it(
    plane: ControlPlane, tokens: Tokens, node: Node
) -> None:
    plane.session.headers.update(bearer(tokens.admin))
    await plane.add_host(node)
    operator = bearer(tokens.operator)
    vm_id = await plane.ok("POST", "/vms", new_vm("a"), **operator)
    await plane.ok("POST", f"/vms/{vm_id}/start", **operator)
    operations = await plane.ok("GET", f"/operations?subject_id={vm_id}")
    assert {(each["action"], each["actor"]) for each in operations} == {
        ("create", "operator"),
        ("start", "operator"),
    }


async def test_a_viewer_reads_a_console_and_cannot_write_to_it(
    plane: ControlPlane, tokens: Tokens, node: Node
) -> None:
    plane.session.headers.update(bearer(tokens.admin))
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    url = f"{plane.url}/vms/{vm_id}/console?oldest=true"
    for token, answer in ((tokens.viewer, "error"), (tokens.operator, "input")):
        async with plane.session.ws_connect(url, headers=bearer(token)) as socket:
            await socket.send_str(json.dumps({"type": "attach"}))
            found = await asyncio.wait_for(first_of(socket, "error", "input"), 10)
            assert found["type"] == answer, found
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await plane.session.ws_connect(url, headers=bearer("qarax_" + "A" * 43))
    assert refused.value.status == 401


async def first_of(socket: aiohttp.ClientWebSocketResponse, *kinds: str) -> dict[str, Any]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            found: dict[str, Any] = json.loads(message.data)
            if found["type"] in kinds:
                return found
    raise AssertionError("the console ended")


async def test_no_token_is_looked_for_after_the_headers(plane: ControlPlane) -> None:
    """A body of which nothing ever arrives keeps nobody from saying 401."""
    address = plane.url.removeprefix("http://")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /vms HTTP/1.1\r\nHost: {address}\r\nContent-Length: 900000\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode())
    await writer.drain()
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize("query", ["token", "access_token", "authorization"])
async def test_a_token_in_the_query_string_is_none(plane: ControlPlane, tokens: Tokens, query: str) -> None:
    assert (await plane.request("GET", f"/vms?{query}={tokens.admin}"))[0] == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "bearer  x",
        "Token {}",
        "{}",
        "Bearer {} {}",
        "Bearer {}x",
        "Bearer Bearer {}",
    ],
)
async def test_what_is_nearly_a_token(plane: ControlPlane, tokens: Tokens, header: str) -> None:
    given = {"Authorization": header.format(tokens.admin, tokens.admin)}
    status, body, response = await plane.request("GET", "/vms", **given)
    assert (status, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="qarax"')
    assert tokens.admin not in json.dumps(body)


async def test_two_authorization_headers_are_refused(plane: ControlPlane, tokens: Tokens) -> None:
    twice = [("Authorization", f"Bearer {each}") for each in (tokens.viewer, tokens.admin)]
    async with plane.session.get(f"{plane.url}/vms", headers=twice) as response:
        assert response.status == 401


async def test_the_scheme_may_be_written_in_any_case(plane: ControlPlane, tokens: Tokens) -> None:
    assert (await plane.request("GET", "/vms", Authorization=f"bEARER {tokens.viewer}"))[0] == 200


async def test_an_answer_kept_under_a_key_is_its_callers_alone(plane: ControlPlane, tokens: Tokens) -> None:
    body = {"name": "p", "pool_type": "local", "config": {"path": "/srv/p"}}
    key = {"Idempotency-Key": "k"}
    await plane.ok("POST", "/storage-pools", body, **bearer(tokens.admin), **key)
    status, answer, _ = await plane.request("POST", "/storage-pools", body, **bearer(tokens.operator), **key)
    assert (status, answer["code"]) == (403, "role_too_low")


async def test_a_revoked_token_loses_its_open_streams(plane: ControlPlane, tokens: Tokens) -> None:
    async with plane.session.get(f"{plane.url}/events", headers=STREAM | bearer(tokens.viewer)) as stream:
        assert (await stream.content.readline()) == b"event: hello\n"
        async with plane.server.core.database.connection() as connection:
            await revoke_token(connection, "viewer")
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(stream.content.read(), 9)
    assert (await plane.request("GET", "/vms", **bearer(tokens.viewer)))[1]["code"] == "revoked_token"


async def test_a_token_has_so_many_streams_and_no_more(
    database_settings: TestDatabase, tmp_path: Path
) -> None:
    auth = Auth(required=True, streams_per_token=2)
    async with control_plane(settings_for(database_settings, tmp_path, auth=auth)) as plane:
        tokens = await make_tokens(plane.server.core.database)
        mine = STREAM | bearer(tokens.viewer)
        streams = [await plane.session.get(f"{plane.url}/events", headers=mine) for _ in range(2)]
        assert {stream.status for stream in streams} == {200}
        status, answer, _ = await plane.request("GET", "/events", **mine)
        assert (status, answer["code"]) == (429, "too_many_streams")
        others = STREAM | bearer(tokens.admin)
        async with plane.session.get(f"{plane.url}/events", headers=others) as other:
            assert other.status == 200
        for stream in streams:
            stream.close()


async def test_failing_too_often_ends_in_429_and_locks_nobody_else_out(
    database_settings: TestDatabase, tmp_path: Path
) -> None:
    auth = Auth(required=True, failures_per_minute=5)
    async with control_plane(settings_for(database_settings, tmp_path, auth=auth)) as plane:
        tokens = await make_tokens(plane.server.core.database)
        guess = bearer("qarax_" + "B" * 43)
        assert [(await plane.request("GET", "/vms", **guess))[0] for _ in range(6)] == [401] * 5 + [429]
        status, answer, response = await plane.request("GET", "/vms")
        assert (status, answer["code"]) == (429, "too_many_failures")
        assert 0 < int(response.headers["Retry-After"]) <= 60
        assert (await plane.request("GET", "/vms", **bearer(tokens.revoked)))[0] == 429
        assert (await plane.request("GET", "/vms", **bearer(tokens.viewer)))[0] == 200
        assert (await plane.request("GET", "/healthz"))[0] == 200
        (event,) = await until(lambda: bursts(plane, bearer(tokens.viewer)))
        assert (event["actor"], event["subject_name"]) == ("qarax-server", "127.0.0.1")
        assert "5 requests of 127.0.0.1 within a minute had no valid token" in event["message"]


async def bursts(plane: ControlPlane, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What the flight recorder says of addresses that failed too often."""
    events = await plane.ok("GET", "/events?subject_type=token", **headers)
    return [event for event in events if event["action"] == "refuse"]


def test_failures_are_forgotten_after_a_minute_and_bounded_in_memory() -> None:
    now = [0.0]
    failures = Failures(lambda: now[0])
    for _ in range(3):
        failures.note("192.0.2.1")
    assert failures.seconds_to_wait("192.0.2.1", 3) == 60
    assert failures.seconds_to_wait("192.0.2.1", 4) == 0
    assert failures.seconds_to_wait("192.0.2.2", 3) == 0
    now[0] = 61.0
    assert failures.seconds_to_wait("192.0.2.1", 3) == 0
    failures.note("192.0.2.1")
    assert failures.seconds_to_wait("192.0.2.1", 2) == 0
    for number in range(MOST_ADDRESSES * 2):
        failures.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(failures) == MOST_ADDRESSES


def test_an_ipv6_network_fails_as_one() -> None:
    failures = Failures(lambda: 0.0)
    for number in range(3):
        failures.note(f"2001:db8::{number}")
    assert failures.seconds_to_wait("2001:db8::ffff", 3) == 60
    assert failures.seconds_to_wait("2001:db8:0:1::1", 3) == 0
    failures.note("::ffff:192.0.2.1")
    assert failures.seconds_to_wait("192.0.2.1", 1) == 60


async def test_while_the_database_is_away_nobody_comes_in_and_strangers_learn_little(
    database_settings: TestDatabase, tmp_path: Path
) -> None:
    away = replace(database_settings, host=str(tmp_path / "nowhere"))
    settings = settings_for(away, tmp_path, auth=Auth(required=True))
    plane = await start_control_plane(settings, wait=False)
    try:
        for path in ("/vms", "/readyz"):
            status, answer, response = await plane.request("GET", path, **bearer("qarax_" + "A" * 43))
            assert (status, answer["code"]) == (503, "database_unavailable")
            assert "nowhere" not in answer["message"]
            assert response.headers["Retry-After"]
        assert (await plane.request("GET", "/vms"))[0] == 401
        assert (await plane.request("GET", "/healthz"))[0] == 200
    finally:
        await plane.stop()
