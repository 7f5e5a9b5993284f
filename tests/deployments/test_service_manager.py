"""systemd is told by node and server when they serve, that they are alive, and that they stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.ports import free_port

NODE = ("qarax_node.app", "--driver", "simulated", "--port")
SERVER = ("qarax_server.app", "--port")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


@contextlib.contextmanager
def started(program: tuple[str, ...], place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program as systemd starts it, with a watchdog of 0.2 s; the server's database is away."""
    told = {"NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "200000"}
    environment = {**os.environ, **told, "DATABASE_HOST": str(place)}
    more = ("--runtime-dir", str(place / "node")) if program is NODE else ()
    command = [sys.executable, "-m", *program, str(free_port()), *more]
    with (
        (place / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


both = pytest.mark.parametrize("program", [NODE, SERVER], ids=["node", "server"])


@both
def test_ready_alive_stopping(program: tuple[str, ...], manager: socket.socket, tmp_path: Path) -> None:
    with started(program, tmp_path) as process:
        said = [manager.recv(100).decode() for _ in range(3)]
        assert said == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
        process.send_signal(signal.SIGTERM)
        while (last := manager.recv(100).decode()) != "STOPPING=1":
            assert last == "WATCHDOG=1"
        assert process.wait(30) == 0


@both
def test_a_program_that_hangs_says_nothing(
    program: tuple[str, ...], manager: socket.socket, tmp_path: Path
) -> None:
    with started(program, tmp_path) as process:
        assert manager.recv(100) == b"READY=1"
        process.send_signal(signal.SIGSTOP)
        manager.settimeout(1)
        with pytest.raises(TimeoutError):
            list(iter(partial(manager.recv, 100), b""))
