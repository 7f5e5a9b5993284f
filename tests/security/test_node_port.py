"""The node's port under mutual TLS: whom it greets, who may call, what garbage does to it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from qarax_proto import node_pb2, node_pb2_grpc

from qarax_server.certificates import Authority, dns_name
from tests.security import tls
from tests.security.tls import OTHER_ID, Ca, client_context, greeting, serve
from tests.server.running import Node

pytestmark = pytest.mark.security

SETTINGS_FRAME = b"\x04\x00\x00\x00\x00\x00"  # type, flags and stream of HTTP/2, after the length


async def test_the_port_greets_a_server_of_its_ca_in_tls_1_2_and_up_and_nobody_else(
    ca: Ca, tmp_path: Path, started: list[Node]
) -> None:
    started.append(await serve(tmp_path / "n", ca.for_host(OTHER_ID, "h")))
    port, trusted = started[0].port, ca.authority.trusted
    good = client_context(trusted, ca.authority.issue_for_server(), tmp_path)
    said, version = await greeting(port, good)
    assert (said[3:], version) == (SETTINGS_FRAME, "TLSv1.3")
    good.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await greeting(port, good))[1] == "TLSv1.2"
    old = client_context(trusted, ca.authority.issue_for_server(), tmp_path)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await greeting(port, old)
    strangers = {
        "no certificate": None,
        "a node's": ca.authority.issue_for_host(OTHER_ID, "h", "127.0.0.1"),
        "a server's of another CA": Authority.create().issue_for_server(),
        "a server's that has ended": tls.ended(ca.authority).issue_for_server(1),
    }
    for who, own in strangers.items():
        assert await greeting(port, client_context(trusted, own, tmp_path)) == (b"", "TLSv1.3"), who
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    assert (await greeting(port, None, hello))[0][3:] != SETTINGS_FRAME


async def test_a_client_of_the_same_ca_that_is_no_control_plane_may_call_nothing(
    ca: Ca, tmp_path: Path, started: list[Node], sizes: dict[str, int]
) -> None:
    """Should the CA ever sign clients for another purpose: every call asks for the name as well."""
    started.append(await serve(tmp_path / "n", ca.for_host(OTHER_ID, "h")))
    somebody = [x509.UniformResourceIdentifier("qarax://somebody")]
    other = ca.authority._issue("somebody", somebody, ExtendedKeyUsageOID.CLIENT_AUTH, 1)
    credentials = grpc.ssl_channel_credentials(ca.authority.trusted, other.key, other.certificate)
    override = (("grpc.ssl_target_name_override", dns_name(OTHER_ID)),)
    methods = node_pb2.DESCRIPTOR.services_by_name["Node"].methods
    async with grpc.aio.secure_channel(f"127.0.0.1:{started[0].port}", credentials, override) as channel:
        stub = node_pb2_grpc.NodeStub(channel)
        for method in methods:
            request = getattr(node_pb2, method.input_type.name)()
            call = getattr(stub, method.name)(*() if method.client_streaming else (request,))
            assert await call.code() is grpc.StatusCode.PERMISSION_DENIED, method.name
    sizes["gRPC methods closed to strangers"] = len(methods)
    assert "its certificate is no control plane's" in (tmp_path / "n" / "node.log").read_text()


async def test_f25_garbage_and_hostile_messages_leave_the_port_as_it_was(
    ca: Ca, tmp_path: Path, started: list[Node], sizes: dict[str, int]
) -> None:
    started.append(await serve(tmp_path / "n", ca.for_host(OTHER_ID, "h")))
    port, tried = started[0].port, 0
    chance = random.Random(20261123)
    hello = bytes.fromhex("16030102000100")
    pieces = [chance.randbytes(chance.randint(1, 4096)) for _ in range(100)]
    pieces += [hello[:length] + chance.randbytes(64) for length in range(len(hello))]
    pieces += [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x00",
    ]
    for piece in pieces:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(piece)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.transport.abort()
        tried += 1
    own = ca.authority.issue_for_server()
    for piece in pieces:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(ca.authority.trusted, own, tmp_path)
        )
        writer.write(piece)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.drain()
        writer.transport.abort()
        tried += 1
    stub = await stub_of(ca, port)
    for refused, code in (
        (node_pb2.GetVmRequest(vm_id="x" * (17 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (node_pb2.GetVmRequest(vm_id="../../etc"), grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.GetVm(refused)
        assert error.value.code() is code
        tried += 1
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.Describe(node_pb2.DescribeRequest(), metadata=(("x-request-id", "a" * 64_000),))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await stub.Describe(node_pb2.DescribeRequest())).node_id
    log = (tmp_path / "n" / "node.log").read_text()
    assert "Traceback" not in log
    assert len(log.splitlines()) < 20, "strangers do not fill the log"
    sizes["pieces of garbage at the gRPC port"] = tried


async def stub_of(ca: Ca, port: int) -> Any:
    """A control plane's own calls to the node of `OTHER_ID`."""
    own = ca.authority.issue_for_server()
    credentials = grpc.ssl_channel_credentials(ca.authority.trusted, own.key, own.certificate)
    options = (
        ("grpc.ssl_target_name_override", dns_name(OTHER_ID)),
        ("grpc.max_send_message_length", 64 << 20),
    )
    return node_pb2_grpc.NodeStub(grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options))
