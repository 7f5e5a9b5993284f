"""A stand-in VMM run by a test: raw requests, its events, its serial socket."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BINARY = Path(__file__).parent / "cloud-hypervisor"
CHUNK = 1 << 16
BANNER = b"=== qarax guest is up: Linux"


def make_kernel(directory: Path) -> Path:
    """A file with a bzImage's magic."""
    path = directory / "bzImage"
    path.write_bytes(bytes(0x202) + b"HdrS" + bytes(0x1000))
    return path


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Wait for a true value and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.005)
    return value


class StandIn:
    """One process in a directory of its own; `environment` has fault words; `binary` may be the real one."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        words: str = "",
        no_shutdown: bool = True,
        binary: str = str(BINARY),
    ) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        command = [binary, "--api-socket", "path=api.sock", "--event-monitor", "path=events"]
        command += ["--log-file", "vmm.log", "-v", *(["--no-shutdown"] if no_shutdown else []), *arguments]
        with (directory / "out").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "CLOUD_HYPERVISOR_STAND_IN": words},
            )

    def ready(self) -> StandIn:
        until(self._answers, "the API socket")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "out").read_text()
        try:
            return self.request("GET", "vmm.ping")[0] == 200
        except OSError:
            return False

    def connect(self, name: str = "api.sock") -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        directory = os.open(self.directory, os.O_PATH)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{name}")
        except OSError:
            connection.close()
            raise
        finally:
            os.close(directory)
        return connection

    def raw(self, data: bytes, replies: int = 1) -> bytes:
        """Send bytes and return exactly so many replies."""
        with self.connect() as connection:
            connection.sendall(data)
            return b"".join(self.reply(connection) for _ in range(replies))

    def reply(self, connection: socket.socket) -> bytes:
        """One reply, byte for byte."""
        received = b""
        while b"\r\n\r\n" not in received:
            data = connection.recv(1)
            if not data:
                raise ConnectionResetError("closed before a reply")
            received += data
        found = re.search(rb"Content-Length: (\d+)", received)
        missing = int(found[1]) if found else 0
        while missing:
            data = connection.recv(missing)
            received += data
            missing -= len(data)
        return received

    def request(
        self, method: str, endpoint: str, body: Any = None, fds: tuple[int, ...] = ()
    ) -> tuple[int, str]:
        """Status and body. `body` is sent as it is when it is bytes."""
        text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        data = f"{method} /api/v1/{endpoint} HTTP/1.1\r\n".encode()
        data += b"\r\n" if text is None else b"Content-Length: %d\r\n\r\n" % len(text) + text
        with self.connect() as connection:
            socket.send_fds(connection, [data], fds)
            head, _, answer = self.reply(connection).partition(b"\r\n\r\n")
        return int(head.split()[1]), answer.decode()  # of who is turned away nothing follows the number

    def put(self, endpoint: str, body: Any = None) -> tuple[int, str]:
        return self.request("PUT", endpoint, body)

    def info(self) -> Any:
        status, text = self.request("GET", "vm.info")
        assert status == 200, text
        return json.loads(text)

    def events(self) -> list[str]:
        """`source/event` of every event so far."""
        text = (self.directory / "events").read_text()
        decoder, names, at = json.JSONDecoder(), [], 0
        while at < len(text):
            event, at = decoder.raw_decode(text, at)
            names.append(f"{event['source']}/{event['event']}")
            assert text[at : at + 2] == "\n\n"
            at += 2
        return names

    def exit_code(self, seconds: float = 10) -> int:
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def read_until(connection: socket.socket, text: bytes) -> bytes:
    """What comes until `text` has come."""
    received = bytearray()
    while text not in received[-CHUNK - len(text) :]:
        data = connection.recv(CHUNK)
        assert data, f"the console ended with {received[-200:]!r}"
        received += data
    return bytes(received)


def config(directory: Path, cmdline: str = "", **more: Any) -> dict[str, Any]:
    return {
        "payload": {"kernel": str(make_kernel(directory)), "cmdline": cmdline},
        "console": {"mode": "Off"},
        **more,
    }


Start = Callable[..., StandIn]
