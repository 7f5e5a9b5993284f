"""Downloads and local copies over real gRPC, from a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from qarax_proto import node_pb2

from qarax_node.storage import addresses
from tests.node.keeping import until
from tests.node.serving import FENCE, code_of, new_id, serving, settings, vm_spec

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

CONTENT = bytes(range(256)) * 8192


@pytest.fixture
async def source() -> AsyncIterator[TestServer]:
    async def file(_: web.Request) -> web.Response:
        return web.Response(body=CONTENT)

    async def moved(request: web.Request) -> web.Response:
        to = request.query.get("to")
        return web.Response(status=302, headers={} if to is None else {"Location": to})

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 16))
                await asyncio.sleep(0.01)
        except ConnectionError:
            return response

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
        await response.prepare(request)
        await response.write(CONTENT[:1000])
        assert request.transport is not None
        request.transport.abort()
        return response

    async def broken(request: web.Request) -> web.StreamResponse:
        """Breaks after a part; with `changes` it is another file when asked again."""
        etag = '"two"' if "changes" in request.query and "Range" in request.headers else '"one"'
        resumes = request.headers.get("If-Range") == etag
        begin = (request.http_range.start or 0) if resumes else 0
        rest = CONTENT[begin:]
        headers = {"ETag": etag, "Content-Length": str(len(rest))}
        if resumes:
            headers["Content-Range"] = f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"
        response = web.StreamResponse(status=206 if resumes else 200, headers=headers)
        await response.prepare(request)
        await response.write(rest[:800_000])
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.add_routes([web.get("/broken", broken)])
    app.add_routes([web.get("/file", file), web.get("/moved", moved)])
    app.add_routes([web.get("/endless", endless), web.get("/cut", cut)])
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    made = tmp_path / "pool"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
async def stub(runtime_dir: Path, tmp_path: Path) -> AsyncIterator[Stub]:
    (tmp_path / "import").mkdir(mode=0o755)
    async with serving(settings(runtime_dir, import_dirs=(tmp_path / "import",))) as (_, made):
        yield made


def order(pool: Path, source: object, **more: Any) -> node_pb2.TransferFileRequest:
    fields = {"transfer_type": "download", "allowed_networks": ["127.0.0.0/8"], **more}
    return node_pb2.TransferFileRequest(
        fence=FENCE,
        transfer_id="t",
        destination=node_pb2.FileReference(pool_path=str(pool), path=str(pool / "file")),
        source=str(source),
        **fields,
    )


async def transfer(stub: Stub, request: node_pb2.TransferFileRequest) -> list[node_pb2.TransferProgress]:
    return [progress async for progress in stub.TransferFile(request)]


async def refusal(stub: Stub, request: node_pb2.TransferFileRequest) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await transfer(stub, request)
    return code_of(refused.value)


async def test_a_download_lands_whole(stub: Stub, pool: Path, source: TestServer) -> None:
    (pool / "file").write_text("what was there")
    digest = hashlib.sha256(CONTENT).hexdigest()
    steps = await transfer(stub, order(pool, source.make_url("/file"), sha256=digest))
    assert (steps[-1].done, steps[-1].transferred_bytes) == (True, len(CONTENT))
    assert steps[0].total_bytes == len(CONTENT)
    assert (pool / "file").read_bytes() == CONTENT
    assert [path.name for path in pool.iterdir()] == ["file"]


async def test_a_download_goes_on_where_its_connection_broke(
    stub: Stub, pool: Path, source: TestServer
) -> None:
    url = source.make_url("/broken")
    digest = hashlib.sha256(CONTENT).hexdigest()
    steps = await transfer(stub, order(pool, url, sha256=digest))
    assert (steps[-1].done, steps[-1].transferred_bytes) == (True, len(CONTENT))
    assert (pool / "file").read_bytes() == CONTENT


async def test_parts_of_two_files_are_never_put_together(stub: Stub, pool: Path, source: TestServer) -> None:
    url = source.make_url("/broken").with_query("changes")
    assert await refusal(stub, order(pool, url)) == "source_changed"
    assert list(pool.iterdir()) == []


async def test_a_redirect_is_followed_and_checked(stub: Stub, pool: Path, source: TestServer) -> None:
    moved = source.make_url("/moved").with_query(to="/file")
    assert (await transfer(stub, order(pool, moved)))[-1].done
    for to in ("http://169.254.169.254/latest", "http://[::1]/", "file:///etc/passwd", "http://10.0.0.1/x"):
        moved = source.make_url("/moved").with_query(to=to)
        assert await refusal(stub, order(pool, moved)) in ("source_forbidden", "source_invalid")
    loop = source.make_url("/moved").with_query(to=str(source.make_url("/moved").with_query(to="/moved")))
    assert await refusal(stub, order(pool, loop)) != ""


@pytest.mark.parametrize("networks", [[], ["192.0.2.0/24"]])
async def test_an_address_that_is_not_allowed_is_never_contacted(
    stub: Stub, pool: Path, source: TestServer, networks: list[str]
) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = source.make_url("/file").with_host(host)
        assert await refusal(stub, order(pool, url, allowed_networks=networks)) == "source_forbidden"
    assert list(pool.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("1.1.1.1", True),
        ("10.1.2.3", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("224.0.0.1", False),
        ("100.64.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:a00:1::1", False),
        ("2606:4700::1111", True),
    ],
)
def test_without_networks_only_public_addresses_are_allowed(address: str, allowed: bool) -> None:
    assert addresses.is_allowed(address, []) is allowed


@pytest.mark.parametrize(
    "case",
    [
        ("/missing", {}, "source_refused"),
        ("/file", {"sha256": "0" * 64}, "digest_mismatch"),
        ("/file", {"size_limit_bytes": 1000}, "too_large"),
        ("/endless", {"size_limit_bytes": 1 << 20}, "too_large"),
        ("/cut", {}, "source_unreachable"),
    ],
)
async def test_a_download_that_fails_leaves_what_was_there(
    stub: Stub, pool: Path, source: TestServer, case: tuple[str, dict[str, Any], str]
) -> None:
    path, more, code = case
    (pool / "file").write_text("what was there")
    assert await refusal(stub, order(pool, source.make_url(path), **more)) == code
    assert (pool / "file").read_text() == "what was there"
    assert [found.name for found in pool.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "http://", "file:///etc/passwd", "http:///x", "not a url", "http://u:p@x/y"]
)
async def test_a_source_that_is_no_http_url_is_refused(stub: Stub, pool: Path, url: str) -> None:
    assert await refusal(stub, order(pool, url)) == "source_invalid"


@pytest.mark.parametrize("to", [None, "", "http://[::bad", "http://xn--/", f"http://{'a' * 300}.com/"])
async def test_a_redirect_that_leads_nowhere_is_the_source_s_fault(
    stub: Stub, pool: Path, source: TestServer, to: str | None
) -> None:
    moved = source.make_url("/moved").with_query({} if to is None else {"to": to})
    assert await refusal(stub, order(pool, moved)) in ("source_refused", "source_unreachable")


async def test_cancelling_removes_the_temporary_file(stub: Stub, pool: Path, source: TestServer) -> None:
    call = stub.TransferFile(order(pool, source.make_url("/endless")))
    steps = aiter(call)
    await anext(steps)
    assert len(list(pool.iterdir())) == 1
    call.cancel()
    await until(lambda: not list(pool.iterdir()))


async def test_a_local_copy_reads_from_pools_and_import_directories_alone(
    stub: Stub, pool: Path, tmp_path: Path
) -> None:
    (tmp_path / "import" / "kernel").write_bytes(CONTENT)
    (tmp_path / "secret").write_bytes(CONTENT)
    (tmp_path / "import" / "link").symlink_to(tmp_path / "secret")
    copied = order(pool, tmp_path / "import" / "kernel", transfer_type="local_copy")
    assert (await transfer(stub, copied))[-1].done
    assert (pool / "file").read_bytes() == CONTENT
    for path in ("secret", "import/../secret", "import/link"):
        refused = order(pool, f"{tmp_path}/{path}", transfer_type="local_copy")
        assert await refusal(stub, refused) in ("source_forbidden", "path_outside_pool", "path_invalid")
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    again = order(
        other, pool / "file", transfer_type="local_copy", import_pools=[str(pool)], size_limit_bytes=1 << 30
    )
    assert (await transfer(stub, again))[-1].done


async def test_files_and_disks_over_the_wire(stub: Stub, pool: Path) -> None:
    state = await stub.CheckPool(
        node_pb2.CheckPoolRequest(fence=FENCE, path=str(pool), pool_type="local", nfs_source="")
    )
    assert state.capacity_bytes > 0
    disk = node_pb2.FileReference(pool_path=str(pool), path=str(pool / "disk"))
    made = await stub.CreateDisk(
        node_pb2.CreateDiskRequest(fence=FENCE, destination=disk, size_bytes=1 << 20)
    )
    assert made == node_pb2.FileState(exists=True, size_bytes=1 << 20, format="raw")
    assert await stub.CheckFile(node_pb2.CheckFileRequest(file=disk)) == made
    await stub.DeleteFile(node_pb2.DeleteFileRequest(fence=FENCE, file=disk))
    assert not (await stub.CheckFile(node_pb2.CheckFileRequest(file=disk))).exists


async def test_a_file_of_a_running_vm_is_neither_replaced_nor_deleted(
    stub: Stub, pool: Path, tmp_path: Path
) -> None:
    (tmp_path / "import" / "kernel").write_bytes(CONTENT)
    (pool / "file").write_bytes(CONTENT)
    kernel = node_pb2.FileReference(pool_path=str(pool), path=str(pool / "file"))
    vm_id = new_id()
    spec = vm_spec(pool, kernel=kernel)
    await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=spec))
    await stub.StartVm(node_pb2.StartVmRequest(fence=FENCE, vm_id=vm_id))
    copied = order(pool, tmp_path / "import" / "kernel", transfer_type="local_copy")
    assert await refusal(stub, copied) == "file_in_use"
    with pytest.raises(grpc.aio.AioRpcError, match="in use by the running VM vm; stop it first"):
        await stub.DeleteFile(node_pb2.DeleteFileRequest(fence=FENCE, file=kernel))
    await stub.StopVm(node_pb2.StopVmRequest(fence=FENCE, vm_id=vm_id, grace_seconds=0))
    assert (await transfer(stub, copied))[-1].done
