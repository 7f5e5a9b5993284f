"""Every limit of the server, reached on purpose: a clear answer, one line in the log, and it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qarax_server.settings import Application
from tests.postgres import TestDatabase
from tests.server.running import ControlPlane, Node, control_plane, settings_for, until

pytestmark = pytest.mark.security

SMALL = Application(
    connections=12, connections_per_client=8, header_seconds=0.6, body_seconds=0.6, readers_per_console=2
)


@pytest.fixture
async def small(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A control plane whose limits are near."""
    async with control_plane(settings_for(database_settings, tmp_path, application=SMALL)) as plane:
        yield plane


async def talk(plane: ControlPlane, *pieces: bytes, pause: float = 0.0) -> tuple[int, dict[str, Any]]:
    """Send bytes in pieces; the status and JSON of what comes back before the connection ends."""
    host, _, port = plane.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answering = asyncio.create_task(reader.readuntil(b"}"))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.wait({answering}, timeout=pause)
            if answering.done():
                break
        answer = await asyncio.wait_for(answering, 15)
    finally:
        writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"Content-Type: application/json" in head
    return int(head.split(b" ", 2)[1]), json.loads(body)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "header_too_long"),
        (b"GET /vms HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n", "header_too_long"),
        (b"GET /vms HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500 + b"\r\n", "bad_http"),
        (b"GET /vms HTTP/1.1\r\nHost: localhost\r\nX y\r\n\r\n", "bad_http"),
        (b"GET /vms HTTP/9.9\r\nHost: localhost\r\n\r\n", "bad_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), "bad_http"),
        (b"POST /vms HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_http"),
        (b"POST /vms HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "bad_http"),
        (b"GET /vms HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\x00\r\n\r\n", "bad_http"),
    ],
)
async def test_what_is_no_http_gets_json_and_one_line_in_the_log(
    small: ControlPlane, caplog: pytest.LogCaptureFixture, request_: bytes, code: str
) -> None:
    caplog.set_level(logging.INFO)
    status, body = await talk(small, request_)
    assert (status, body["code"]) == (400, code), body
    assert not [record for record in caplog.records if record.exc_info or "\x1b" in record.getMessage()]
    assert len([record for record in caplog.records if "refused a request" in record.getMessage()]) == 1
    assert (await small.request("GET", "/vms"))[0] == 200


async def test_headers_that_trickle_in_are_cut_off(small: ControlPlane) -> None:
    start = b"GET /vms HTTP/1.1\r\nHost: localhost\r\n"
    status, body = await talk(small, start, *(b"X-%d: y\r\n" % number for number in range(30)), pause=0.1)
    assert (status, body["code"]) == (408, "headers_too_slow")


async def test_a_second_request_on_a_connection_may_not_trickle_in_either(small: ControlPlane) -> None:
    host, _, port = small.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 200 " in await reader.readline()
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(1)  # longer than the headers of a request may take: an idle connection is kept
    writer.write(b"GET /vms HT")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert b"HTTP/1.1 408 " in answer
    writer.close()


async def test_a_body_that_trickles_in_is_cut_off(small: ControlPlane) -> None:
    head = b"POST /vms HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    status, body = await talk(small, head, *([b" "] * 30), pause=0.1)
    assert (status, body["code"]) == (408, "body_too_slow")


async def test_a_client_has_so_many_connections_and_all_have_so_many(small: ControlPlane) -> None:
    host, _, port = small.url.removeprefix("http://").partition(":")
    await small.session.close()
    small.session = aiohttp.ClientSession()
    opened = []
    for number in range(8):
        opened.append(await asyncio.open_connection(host, int(port)))
        opened[-1][1].write(b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        assert b" 200 " in await opened[-1][0].readline(), number
    ninth = await talk(small, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (ninth[0], ninth[1]["code"]) == (503, "too_many_connections")
    assert "127.0.0.1 has 8 connections open" in ninth[1]["message"]
    others = [
        await asyncio.open_connection(host, int(port), local_addr=(f"127.0.0.{number}", 0))
        for number in range(2, 6)
    ]
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.9", 0))
    refusal = await asyncio.wait_for(reader.read(), 5)
    assert b"12 connections are open: try again later" in refusal
    assert b"Retry-After: 5" in refusal
    for _, each in [*opened, *others, (reader, writer)]:
        each.transport.abort()

    async def lets_in() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return (await small.request("GET", "/healthz"))[0] == 200
        return False

    await until(lets_in, 10)


async def test_a_console_has_so_many_readers(small: ControlPlane, tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    await node.start()
    try:
        await small.add_host(node)
        vm_id = await small.add_vm()
        await small.ok("POST", f"/vms/{vm_id}/start")
        url = f"{small.url}/vms/{vm_id}/console"
        readers = [await small.session.ws_connect(url) for _ in range(2)]
        status, body, response = await small.request("GET", f"/vms/{vm_id}/console")
        assert (status, body["code"]) == (429, "too_many_readers")
        assert response.headers["Retry-After"]
        await readers[0].close()

        async def lets_in() -> bool:
            return (await small.request("GET", f"/vms/{vm_id}/console"))[0] == 200

        await until(lets_in, 10)
        await readers[1].close()
    finally:
        await node.kill()


@pytest.mark.parametrize("path", ["/vms", "/hosts", "/events", "/operations", "/storage-objects"])
async def test_a_page_has_a_thousand_rows_at_most(small: ControlPlane, path: str) -> None:
    assert (await small.request("GET", f"{path}?limit=1000"))[0] == 200
    for limit in ("1001", "0", "-1", "9" * 40):
        status, body, _ = await small.request("GET", f"{path}?limit={limit}")
        assert (status, list(body["errors"])) == (422, ["limit"])


async def test_a_body_has_a_mebibyte_at_most(small: ControlPlane) -> None:
    data = io.BytesIO(b'{"name": "' + b"a" * 2**20 + b'"}')
    async with small.session.post(f"{small.url}/vms", data=data) as response:
        assert (response.status, (await response.json())["code"]) == (413, "body_too_large")
