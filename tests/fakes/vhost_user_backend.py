"""A vhost-user backend as far as a hypervisor's greeting goes: it says which features it has."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

HEADER = struct.Struct("=III")
GET_FEATURES, SET_OWNER = 1, 3
REPLY = 1 | 1 << 2
FEATURES = 1 << 32


class VhostUserBackend:
    """Waits for hypervisors at `path`, or calls one that waits there (`calls`), and keeps what they ask."""

    def __init__(self, path: Path, *, calls: bool = False) -> None:
        self.asked: list[int] = []
        self._path = str(path)
        self._listener = None if calls else _listen(self._path)
        self._thread = threading.Thread(target=self._call if calls else self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while self._listener is not None:
                self._serve(self._listener.accept()[0])

    def _call(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._path)
            except OSError:
                connection.close()
                time.sleep(0.01)
            else:
                self._serve(connection)
                return

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while len(head := connection.recv(HEADER.size, socket.MSG_WAITALL)) == HEADER.size:
                request, _, size = HEADER.unpack(head)
                connection.recv(size, socket.MSG_WAITALL)
                self.asked.append(request)
                if request == GET_FEATURES:
                    connection.sendall(HEADER.pack(request, REPLY, 8) + struct.pack("=Q", FEATURES))

    def close(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._thread.join(5)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    return listener
