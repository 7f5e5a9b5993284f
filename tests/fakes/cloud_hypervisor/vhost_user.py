"""vhost-user as far as it shows: the VMM connects to a backend, or waits for one, and greets it.

Nothing is queued after that. What a backend sees of a boot, a reboot and an end is that connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import Any

from tests.fakes.cloud_hypervisor.errors import VmError, os_error

GET_FEATURES, SET_OWNER = 1, 3
VERSION = 1
HEADER = struct.Struct("=III")
RETRY_SECONDS = 60.0
PAUSE_SECONDS = 0.1


class VhostUser:
    """A connection to the backend of one interface; a `Server` makes the socket and removes it."""

    def __init__(self, config: dict[str, Any], patience: float | None) -> None:
        self.path = config["vhost_socket"]
        self.serves = config["vhost_mode"] == "Server"
        try:
            self.socket = _accepted(self.path) if self.serves else _connected(self.path, patience)
            _greet(self.socket)
        except OSError as error:
            title = "Cannot create vhost-user-net device"
            where = "Failed binding vhost-user socket" if self.serves else "Connection to socket failed"
            raise VmError("Error from device manager", title, where, os_error(error)) from None

    def close(self) -> None:
        self.socket.close()
        if self.serves:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


def _connected(path: str, patience: float | None) -> socket.socket:
    """Tried again for a minute while nobody listens."""
    deadline = time.monotonic() + (RETRY_SECONDS if patience is None else patience)
    while True:
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(path)
        except OSError:
            made.close()
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return made


def _accepted(path: str) -> socket.socket:
    """Waited for without end."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        return listener.accept()[0]


def _greet(backend: socket.socket) -> None:
    backend.sendall(HEADER.pack(GET_FEATURES, VERSION, 0))
    if len(backend.recv(HEADER.size + 8, socket.MSG_WAITALL)) < HEADER.size + 8:
        raise ConnectionResetError(104, os.strerror(104))
    backend.sendall(HEADER.pack(SET_OWNER, VERSION, 0))
