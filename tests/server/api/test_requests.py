"""What a client can send and still never gets a 500 for: bodies, ids, methods, headers."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qarax_server.api import json_body, schemas
from qarax_server.control.networks import check_address
from qarax_server.errors import BadRequest, Invalid
from tests.server.api.conftest import Client
from tests.server.running import ControlPlane

POOL = '{"name": "p", "pool_type": "local", "config": %s}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"   ", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"NaN", 400),
        (POOL % '{"x": NaN}', 400),
        (POOL % '{"x": -Infinity}', 400),
        (POOL % '{"x": 1e400}', 422),
        (POOL % '{"x": 9223372036854775808}', 422),
        (POOL % ('{"x": ' + "9" * 5000 + "}"), 400),
        (POOL % '{"x": "a\\u0000b"}', 422),
        (POOL % '{"\\u0000": 1}', 422),
        (POOL % '{"x": "\\ud800"}', 422),
        (POOL % '{"x": 1, "x": 2}', 400),
        (POOL % ("[" * 100_000 + "]" * 100_000), 400),
        (POOL % ("[" * 100 + "]" * 100), 400),
        ("[" * 100_000, 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"7", 422),
        (POOL % "7", 422),
        ('{"name": "p", "pool_type": "local", "colour": "red"}', 422),
        (b"x" * (2**20 + 1), 413),
    ],
    ids=lambda value: None if isinstance(value, int) else f"{len(value)}-bytes",
)
async def test_a_body_that_is_none_is_refused(api: Client, body: bytes | str, status: int) -> None:
    data = io.BytesIO(body.encode() if isinstance(body, str) else body)
    async with api.post("/storage-pools", data=data) as response:
        answer = await response.json()
    assert response.status == status, answer
    schemas.Error().load(answer)
    assert answer["request_id"] == response.headers["x-request-id"]


async def test_a_body_of_a_hundred_megabytes_is_cut_off(api: Client) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 2**20

    try:
        async with api.post("/storage-pools", data=endless()) as response:
            assert response.status == 413
    except (ConnectionError, OSError):
        pass  # the server hung up while more was being sent: as good an answer
    assert sent < 100


async def test_every_field_at_fault_is_named(api: Client) -> None:
    body = {"name": "-x", "pool_type": "floppy", "config": {"path": "/a/../b"}, "capacity_bytes": "5"}
    async with api.post("/storage-pools", json=body) as response:
        answer = await response.json()
    assert response.status == 422
    assert sorted(answer["errors"]) == ["capacity_bytes", "name", "pool_type"]
    async with api.post(
        "/storage-pools", json={"name": "x", "pool_type": "nfs", "config": {"path": "x/y"}}
    ) as r:
        assert list((await r.json())["errors"]) == ["config.path"]


@pytest.mark.parametrize(
    "path", ["/storage-pools/7", "/storage-pools/%00", "/boot-sources/..%2f", "/nowhere"]
)
async def test_an_unknown_address_or_id_is_a_404_in_json(api: Client, path: str) -> None:
    async with api.get(path) as response:
        assert response.status == 404
        schemas.Error().load(await response.json())


async def test_methods_are_refused_or_explained(api: Client) -> None:
    async with api.put("/storage-pools", json={}) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        schemas.Error().load(await response.json())
    async with api.options("/storage-pools") as response:
        assert (response.status, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert "Access-Control-Allow-Origin" not in response.headers
    async with api.head("/storage-pools") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_probes_may_carry_any_query_and_other_addresses_only_theirs(api: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/swagger-ui"):
        async with api.get(f"{path}?moment=7") as response:
            assert response.status == 200, path
    for path in ("/vms", "/vms/a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", "/operations", "/"):
        async with api.get(f"{path}?moment=7") as response:
            answer = await response.json()
            assert (response.status, answer["errors"]) == (422, {"moment": ["Unknown field."]}), path
    async with api.get("/vms/") as response:
        assert response.status == 404
    async with api.get("/vms/a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/console?tail=1&from=0") as response:
        answer = await response.json()
    assert (response.status, answer["errors"]) == (422, {"tail": ["One of from, tail and oldest."]})


async def test_every_field_at_fault_is_named_in_one_sentence(api: Client) -> None:
    body = {"name": "-", "address": None, "port": 0, "colour": "red"}
    async with api.post("/hosts", json=body) as response:
        answer = await response.json()
    assert set(answer["errors"]) == {"name", "address", "port", "host_user", "colour"}
    assert all(f"{field}: " in answer["message"] for field in answer["errors"])
    assert ".;" not in answer["message"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0", "application/json"),
        ("application/json;q=0.9, text/event-stream", "text/event-stream"),
        ("application/json, Text/Event-Stream;q=0.5", "application/json"),
        ("text/html;q=much, application/json", "application/json"),
    ],
)
async def test_only_who_prefers_it_gets_a_stream(plane: ControlPlane, accept: str, kind: str) -> None:
    async with plane.session.get(f"{plane.url}/events", headers={"Accept": accept}) as response:
        assert (response.status, response.content_type) == (200, kind)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "rebound.example:8000"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Origin": "https://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.example.org"}, 403),
        ({"Origin": "http://[broken"}, 403),
    ],
)
async def test_a_foreign_page_is_kept_out(api: Client, headers: dict[str, str], status: int) -> None:
    async with api.get("/storage-pools", headers=headers) as response:
        assert response.status == status


async def test_the_request_id_is_taken_or_made(api: Client) -> None:
    async with api.get("/", headers={"x-request-id": "mine-7"}) as response:
        assert response.headers["x-request-id"] == "mine-7"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with api.get("/", headers={"x-request-id": "a b"}) as response:
        assert len(response.headers["x-request-id"]) == 32


async def test_a_gzip_that_is_none_is_a_bad_request(api: Client) -> None:
    async with api.post("/storage-pools", data=b"no gzip", headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)


@given(JSON | st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_what_is_read_fits_into_the_database(value: Any) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        read = json_body.parse_json(raw)
    except (BadRequest, Invalid):
        return
    text = json.dumps(read, ensure_ascii=False)
    assert "\0" not in text
    assert json.loads(text.encode()) == read


async def test_a_stalled_body_does_not_hold_up_others(api: Client) -> None:
    port = api.server.port
    assert port is not None
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /storage-pools HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
    async with api.get("/storage-pools") as response:
        assert response.status == 200
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.7", False),
        ("::ffff:192.0.2.7", False),
        ("no.such.name.invalid", False),
        ("127.0.0.9", True),
        ("localhost", True),
    ],
)
async def test_only_allowed_networks_may_be_dialled(address: str, allowed: bool) -> None:
    networks = ("127.0.0.0/8", "::1/128")
    await check_address(address, ())
    if allowed:
        await check_address(address, networks)
    else:
        with pytest.raises(Invalid, match="allowed_networks"):
            await check_address(address, networks)
