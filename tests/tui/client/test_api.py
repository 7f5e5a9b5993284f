"""Requests as the contract has them; whatever goes wrong is a sentence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from qarax_tui.client.api import Api, details_path
from qarax_tui.client.errors import ApiError, ReadOnly, ServerAway, SettingsError
from qarax_tui.client.sanitise import UNSAFE
from tests.fakes.control_plane import ControlPlane


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as running:
        yield running


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    async with Api(plane.url) as connected:
        yield connected


@contextlib.asynccontextmanager
async def answering(raw: bytes) -> AsyncIterator[str]:
    """A server that answers every connection with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def http(status: str, body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), more, body)


async def test_a_vm_is_created_run_and_deleted(api: Api) -> None:
    vm = await api.create_vm({"name": "web", "hypervisor": "cloud_hv"})
    for action, status in (
        (api.start_vm, "running"),
        (api.pause_vm, "paused"),
        (api.resume_vm, "running"),
        (api.reboot_vm, "running"),
        (api.stop_vm, "shutdown"),
    ):
        await action(vm)
        assert (await api.get("vm", vm))["status"] == status
    await api.stop_vm(vm, grace=0)
    await api.update_vm(vm, {"description": "new"})
    assert (await api.get("vm", vm))["description"] == "new"
    await api.delete_vm(vm)
    with pytest.raises(ApiError) as refused:
        await api.get("vm", vm)
    assert refused.value.status == 404
    assert vm in refused.value.sentence


async def test_every_change_is_remembered_with_its_curl_and_outcome(plane: ControlPlane, api: Api) -> None:
    vm = await api.create_vm({"name": "it's"})
    with pytest.raises(ApiError):
        await api.resume_vm(vm)
    await api.dry_run_vm({"name": "x"})
    assert [action.method for action in api.actions] == ["POST", "POST"]
    created, refused = api.actions
    assert created.outcome == "ok"
    assert created.curl == (
        "curl -fsS -X POST -H 'Content-Type: application/json' "
        f"""-d '{{"name": "it'"'"'s"}}' {plane.url}/vms"""
    )
    assert "resume is not possible" in refused.outcome


async def test_field_errors_reach_their_fields(api: Api) -> None:
    with pytest.raises(ApiError) as refused:
        await api.create_vm({})
    assert refused.value.status == 422
    assert refused.value.code == "invalid"
    assert refused.value.errors == {"name": ("Missing, and required.",)}


async def test_read_only_sends_nothing_but_get(plane: ControlPlane, api: Api) -> None:
    vm = plane.add("vm")
    api.read_only = True
    for call in (api.start_vm, api.delete_vm, api.delete_host, api.cancel_operation):
        with pytest.raises(ReadOnly):
            await call(vm)
    with pytest.raises(ReadOnly):
        await api.dry_run_vm({"name": "x"})
    await api.get("vm", vm)
    assert {method for method, _ in plane.requests} == {"GET"}


async def test_pages_follow_the_link_to_the_end(plane: ControlPlane, api: Api) -> None:
    ids = [plane.add("vm", silently=True) for _ in range(25)]
    pages = [page async for page in api.pages("vm", limit=10)]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [row["id"] for page in pages for row in page] == ids


async def test_storage_transfers_and_the_rest(plane: ControlPlane, api: Api) -> None:
    pool = await api.create_storage_pool({"name": "images", "pool_type": "local"})
    transfer = await api.create_transfer(pool, {"name": "vmlinux", "source": "/x", "object_type": "kernel"})
    assert [row["id"] async for page in api.pages("transfer") for row in page] == [transfer]
    kernel = await api.create_storage_object({"name": "k", "storage_pool_id": pool})
    boot = await api.create_boot_source({"name": "linux", "kernel_image_id": kernel})
    host = await api.create_host({"name": "alpha", "address": "127.0.0.1"})
    await api.update_host(host, {"status": "up"})
    assert (await api.dry_run_vm({"name": "x"}))["hosts"][0]["fits"] is True
    vm = await api.create_vm({"name": "web"})
    assert (await api.metrics(vm))["vm_id"] == vm
    assert (await api.placement(vm))["hosts"]
    events = await api.events(after=0, limit=3)
    assert [event.sequence for event in events] == [1, 2, 3]
    assert (await api.event(2))["subject_id"] == transfer
    with pytest.raises(ApiError):
        await api.event(10_000)
    assert details_path("transfer", plane.resources["transfer"][transfer]).endswith(transfer)
    await api.delete_boot_source(boot)
    await api.delete_storage_object(kernel, delete_file=True)
    await api.delete_storage_pool(pool)
    await api.delete_host(host)
    assert await api.ready()


async def test_nothing_there_is_a_sentence_with_a_fix() -> None:
    async with Api("http://127.0.0.1:9") as api:
        with pytest.raises(ServerAway) as away:
            await api.get("vm", "x")
        assert "127.0.0.1:9" in away.value.sentence
        assert "qarax up" in away.value.fix


@pytest.mark.parametrize(
    "raw",
    [
        http("200 OK", b"<html>"),
        http("200 OK", b"[1, 2]"),
        http("200 OK", b"[" * 100_000),
        http("302 Found", b"", b"Location: http://127.0.0.1:1/\r\n"),
        http("500 Oops", b"not json"),
        http("404 Not Found", b'{"message": 5, "errors": "x", "code": {}}'),
        b"garbage\r\n\r\n",
        b"",
    ],
)
async def test_whatever_answers_it_is_a_sentence(raw: bytes) -> None:
    async with answering(raw) as url, Api(url) as api:
        with pytest.raises((ServerAway, ApiError)) as failed:
            await api.get("vm", "x")
        assert failed.value.sentence


async def test_hostile_refusals_are_harmless() -> None:
    body = '{"message": "\\u001b[2J\\u202e", "errors": {"n\\u0007": ["\\u009b1m"]}, "request_id": "\\u001b"}'
    async with answering(http("409 Conflict", body.encode())) as url, Api(url) as api:
        with pytest.raises(ApiError) as refused:
            await api.get("vm", "x")
    error = refused.value
    shown = [
        error.sentence,
        error.request_id,
        *error.errors,
        *(line for e in error.errors.values() for line in e),
    ]
    assert not any(UNSAFE.search(text) for text in shown)


@pytest.mark.parametrize(
    "address", ["ftp://x", "127.0.0.1:8000", "http://", "http://u:p@host", "", "http://[::1"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        Api(address)


def test_a_token_does_not_travel_unencrypted() -> None:
    with pytest.raises(SettingsError, match="unencrypted"):
        Api("http://10.0.0.1:8000", "secret")
    for address in ("http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:1", "https://example.net"):
        assert "secret" not in Api(address, "secret").as_curl("GET", "/vms")
