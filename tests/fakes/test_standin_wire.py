"""The stand-in's wire, byte for byte: replies, limits, what the HTTP library refuses before any routing."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.fakes.standin_process import StandIn


def test_a_reply_is_exact(vmm: StandIn) -> None:
    body = b'{"build_version":"v53.0","version":"53.0.0","pid":%d,"features":["io_uring","kvm","mshv"]}'
    body %= vmm.process.pid
    assert vmm.raw(b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\n\r\n") == (
        b"HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    assert vmm.raw(b"PUT /api/v1/vm.delete HTTP/1.0\r\n\r\n") == (
        b"HTTP/1.1 204 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n"
    )


def library_error(reason: str) -> bytes:
    body = f'{{ "error": "{reason}\nAll previous unanswered requests will be dropped." }}'.encode()
    return (
        b"HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


@pytest.mark.parametrize(
    ("request_bytes", "reason"),
    [
        (b"POST /api/v1/vmm.ping HTTP/1.1\r\n\r\n", "Invalid HTTP Method: Unsupported HTTP method."),
        (b"DELETE /api/v1/vm.delete HTTP/1.1\r\n\r\n", "Invalid HTTP Method: Unsupported HTTP method."),
        (b"GET /api/v1/vmm.ping HTTP/2.0\r\n\r\n", "Invalid HTTP Version: Unsupported HTTP version."),
        (b"nonsense\r\n\r\n", "Invalid request."),
        (b"GET /" + b"a" * 1100 + b" HTTP/1.1\r\n\r\n", "Invalid request."),
        (
            b"PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 51201\r\n\r\n",
            "Request payload with size 51201 is larger than the limit of 51200 allowed by server.",
        ),
        (
            b"PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "Invalid header. Reason: Invalid value. Key:Content-Length; Value: x",
        ),
        (
            b"GET /api/v1/vmm.ping HTTP/1.1\r\nfoo\r\n\r\n",
            "Invalid header. Reason: Header is incorrectly formatted. Key: foo",
        ),
        (
            b"GET /api/v1/vmm.ping HTTP/1.1\r\n" + b"h" * 1100 + b"\r\n\r\n",
            "Invalid header. Reason: Invalid content length. Header: " + "h" * 1024,
        ),
    ],
)
def test_the_library_refuses_before_any_routing(vmm: StandIn, request_bytes: bytes, reason: str) -> None:
    assert vmm.raw(request_bytes) == library_error(reason)


def test_a_body_of_exactly_the_limit_is_read(vmm: StandIn) -> None:
    text = b'{"x":"' + b"y" * (51200 - 8) + b'"}'
    assert vmm.request("PUT", "vm.create", text) == (204, "")


def test_chunks_are_taken_for_requests(vmm: StandIn) -> None:
    head = b"PUT /api/v1/vm.create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    replies = vmm.raw(head, 1) + vmm.raw(b"2\r\n{}\r\n0\r\n\r\n", 1)
    assert replies.startswith(b"HTTP/1.1 400 \r\nServer: Cloud Hypervisor API\r\n")
    assert replies.endswith(library_error("Invalid request."))


def test_requests_are_pipelined_and_expect_is_answered(vmm: StandIn) -> None:
    ping = b"GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n"
    assert vmm.raw(ping * 3, 3).count(b"HTTP/1.1 200 \r\n") == 3
    with vmm.connect() as connection:
        head = b"PUT /api/v1/vm.create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(head)
        assert vmm.reply(connection) == (
            b"HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"
        )
        connection.sendall(b"{}")
        assert vmm.reply(connection).startswith(b"HTTP/1.1 204 \r\n")


def test_the_eleventh_connection_is_turned_away(vmm: StandIn) -> None:
    held = [vmm.connect() for _ in range(10)]
    with vmm.connect() as late:
        received = b""
        while data := late.recv(4096):
            received += data
    assert received == (
        b"HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
        b'{ "error": "Too many open connections" }'
    )
    for connection in held:
        connection.close()
    vmm.ready()


def test_a_client_that_half_closes_gets_no_reply(vmm: StandIn) -> None:
    with vmm.connect() as connection:
        # stopped, so that both have arrived before it looks
        os.kill(vmm.process.pid, signal.SIGSTOP)
        os.waitpid(vmm.process.pid, os.WUNTRACED)
        connection.sendall(b"GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        os.kill(vmm.process.pid, signal.SIGCONT)
        with pytest.raises(ConnectionResetError):
            vmm.reply(connection)
