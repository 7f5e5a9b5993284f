"""Whether a server of this machine answers, whatever is at its port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qarax_tui.stack.answering import answers_ok


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that says this to its first client, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/healthz"
        thread.join()


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", False),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
    ids=["well", "unready", "gRPC", "SSH", "nothing"],
)
def test_only_a_200_is_an_answer(answer: bytes, well: bool) -> None:
    with answering(answer) as url:
        assert answers_ok(url) == well
