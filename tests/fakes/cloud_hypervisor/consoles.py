"""Where serial and console output goes: nowhere, stdout, a file, a pty, or a socket with one client.

Outputs are opened by vm.create and again by every reboot; the machine's thread serves them from boot on.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import tty
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor.errors import VmError, VmmPanic, os_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.cloud_hypervisor.machine import Machine

RING = 1 << 20
LOW_WATER = 1 << 16
INPUT_CHUNK = 64


class Output:
    """An output that drops everything: modes Off and Null, and the base of the others."""

    def serve(self, machine: Machine, on_input: Callable[[bytes], None]) -> None:
        """From boot on, in the machine's thread."""

    def write(self, data: bytes) -> None: ...

    def has_room(self) -> bool:
        """Whether a polite writer may go on."""
        return True

    def close(self) -> None: ...


class Descriptor(Output):
    """Modes Tty and File: write-only, errors ignored."""

    def __init__(self, descriptor: int, *, owned: bool) -> None:
        self.descriptor = descriptor
        self.owned = owned

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self.descriptor, data)

    def close(self) -> None:
        if self.owned:
            os.close(self.descriptor)


class Buffered(Output):
    """What a slow reader leaves over waits in a ring of 1 MiB; the oldest bytes go first."""

    def __init__(self) -> None:
        self.ring = bytearray()
        self.machine: Machine | None = None
        self.sink = -1

    def send(self, data: bytes | bytearray) -> int:
        """Hand over what goes at once; raises OSError."""
        raise NotImplementedError

    def on_events(self, events: int) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        sent = 0
        if self.sink >= 0 and not self.ring:
            with contextlib.suppress(OSError):
                sent = self.send(data)
        if sent < len(data):
            self.ring += data[sent:]
            del self.ring[: max(0, len(self.ring) - RING)]
            self.want_room()

    def want_room(self) -> None:
        if self.machine and self.sink >= 0:
            events = select.EPOLLIN | (select.EPOLLOUT if self.ring else 0)
            self.machine.watch(self.sink, events, self.on_events)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            while self.ring:
                del self.ring[: self.send(self.ring[:LOW_WATER])]
        self.want_room()

    def has_room(self) -> bool:
        return len(self.ring) < LOW_WATER and self.sink >= 0


class Pty(Buffered):
    def __init__(self) -> None:
        super().__init__()
        self.sink, self.slave = os.openpty()
        self.path = os.ttyname(self.slave)
        tty.setraw(self.slave)
        os.set_blocking(self.sink, False)

    def serve(self, machine: Machine, on_input: Callable[[bytes], None]) -> None:
        self.machine, self.on_input = machine, on_input
        self.want_room()

    def send(self, data: bytes | bytearray) -> int:
        return os.write(self.sink, data)

    def on_events(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self.flush()
        if events & select.EPOLLIN:
            self.on_input(os.read(self.sink, INPUT_CHUNK))

    def close(self) -> None:
        if self.machine:
            self.machine.unwatch(self.sink)
        os.close(self.sink)
        os.close(self.slave)


class SerialSocket(Buffered):
    """Listens from vm.create on; serves one client at a time, a new one kicks out the old.

    A client that closes with unread data makes the read end in ECONNRESET: from then on nobody is served.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        try:
            self.listener.bind(path)
        except OSError:
            self.listener.close()
            raise
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.client: socket.socket | None = None
        self.dead = False

    def serve(self, machine: Machine, on_input: Callable[[bytes], None]) -> None:
        self.machine, self.on_input = machine, on_input
        machine.watch(self.listener.fileno(), select.EPOLLIN, self._accept)

    def _accept(self, _events: int) -> None:
        self._drop_client()
        self.client, _ = self.listener.accept()
        self.client.setblocking(False)
        self.sink = self.client.fileno()
        self.want_room()
        self.flush()

    def send(self, data: bytes | bytearray) -> int:
        return self.client.send(data) if self.client else 0

    def write(self, data: bytes) -> None:
        if not self.dead:
            super().write(data)

    def has_room(self) -> bool:
        return self.dead or super().has_room()

    def on_events(self, events: int) -> None:
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read()
        if events & select.EPOLLOUT and self.client:
            self.flush()

    def _read(self) -> None:
        if self.client is None:
            return
        try:
            data = self.client.recv(INPUT_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self._end_thread()
            return
        if data:
            self.on_input(b"\r" if data == b"\n" else data)
        else:
            self._drop_client()

    def _end_thread(self) -> None:
        self.dead = True
        if self.machine:
            self.machine.unwatch(self.sink)
            self.machine.unwatch(self.listener.fileno())
        self.sink = -1

    def _drop_client(self) -> None:
        if self.client and self.machine:
            self.machine.unwatch(self.client.fileno())
            self.client.close()
        self.client, self.sink = None, -1

    def unlink(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def close(self) -> None:
        if self.client:
            self.client.close()
        self.listener.close()


def open_outputs(config: dict[str, Any]) -> dict[str, Output]:
    """Open console, serial and debug console; writes pty paths into the config.

    Raises VmError as vm.create reports it, VmmPanic where the real one panics.
    """
    outputs: dict[str, Output] = {}
    try:
        for name in ("console", "serial", "debug_console"):
            outputs[name] = _open(name, config[name])
    except VmError:
        for output in outputs.values():
            output.close()
        raise
    return outputs


def _open(name: str, config: dict[str, Any]) -> Output:
    mode = config["mode"]
    try:
        if mode == "File":
            return _file(config["file"])
        if mode == "Pty":
            pty = Pty()
            config["file"] = pty.path
            return pty
        if mode == "Socket":
            return _socket(name, config.get("socket"))
    except OSError as error:
        cause = os_error(error) if error.errno else "path must be shorter than SUN_LEN"
        raise VmError("Error creating console devices", "Error creating console device", cause) from None
    return Descriptor(sys.stdout.fileno(), owned=False) if mode == "Tty" else Output()


def _file(path: str | None) -> Output:
    if path is None:
        raise VmmPanic("called `Option::unwrap()` on a `None` value")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return Descriptor(os.open(path, flags, 0o666), owned=True)


def _socket(name: str, path: str | None) -> Output:
    if name != "serial":
        raise VmError("Error creating console devices", "No socket option support for console device")
    if path is None:
        raise VmmPanic("called `Option::unwrap()` on a `None` value")
    return SerialSocket(path)
