"""One VM's serial socket: drained into the log for as long as it lives, input from one writer at a time.

A Cloud Hypervisor whose serial client closes with unread data ends its serial thread (ECONNRESET), so every
close here half-closes first, lets the VMM answer with its own end, and reads to the last byte.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qarax_node.keeper.log import ConsoleLog

READ_BYTES = 1 << 18
MOST_INPUT_BYTES = 1 << 16
FIRST_RETRY_SECONDS = 0.01
LAST_RETRY_SECONDS = 0.5
NOT_THERE_YET = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)

_buffer = memoryview(bytearray(READ_BYTES))


class Serial:
    """A socket that is attached, awaited (`retry_at` > 0), or neither."""

    __slots__ = (
        "_bound",
        "_deadline",
        "_pause",
        "_rebooted",
        "holder",
        "input",
        "kind",
        "log",
        "path",
        "retry_at",
        "socket",
        "text",
    )

    def __init__(self, log: ConsoleLog) -> None:
        self.log = log
        self.path = ""
        self.kind = ""
        self.socket: socket.socket | None = None
        self.retry_at = 0.0
        self.text = ""
        self.input = b""
        self.holder: tuple[object, str] | None = None
        self._bound = 0
        self._rebooted = False
        self._pause = 0.0
        self._deadline = 0.0

    def is_attached_to(self, path: str) -> bool:
        """Whether the socket that is at `path` now is the one being read."""
        return self.socket is not None and self.path == path and self._bound == _inode(path)

    def await_socket(self, path: str, kind: str, text: str, seconds: float) -> None:
        """From now on try to connect, for so long; then `kind` and `text` are marked."""
        self.path, self.kind, self.text = path, kind, text
        self._pause = FIRST_RETRY_SECONDS
        self._deadline = time.monotonic() + seconds
        self.retry_at = time.monotonic()

    def try_connect(self) -> bool:
        """Connect when the socket is there; else set the next attempt. Raises OSError when it is hopeless."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            bound = _inode(self.path)
            _connect(made, self.path)
        except OSError as error:
            made.close()
            now = time.monotonic()
            if error.errno not in NOT_THERE_YET or now >= self._deadline:
                self.retry_at = 0.0
                raise
            self._pause = min(self._pause * 2, LAST_RETRY_SECONDS)
            self.retry_at = now + self._pause
            return False
        self.socket, self._bound, self.retry_at = made, bound, 0.0
        self._mark()
        return True

    def _mark(self) -> None:
        # a VMM that goes may accept once more, be it to reboot or to end: it says more only when it rebooted
        self._rebooted = self.kind == "reboot"
        if not self._rebooted:
            self.log.mark(self.kind, self.text)

    def read(self) -> bool:
        """Append what is there, one buffer full; False at the end of the socket."""
        if self.socket is None:
            return False
        try:
            count = self.socket.recv_into(_buffer)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if count:
            if self._rebooted:
                self._rebooted = False
                self.log.mark("reboot", self.text)
            self.log.append(_buffer[:count])
        return count > 0

    def write(self) -> bool:
        """Send pending input; True when some is left for later."""
        if self.socket is None:
            self.input = b""
        try:
            while self.input and self.socket is not None:
                self.input = self.input[self.socket.send(self.input[:4096]) :]
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            self.input = b""
        return False

    def half_close(self) -> None:
        """Say that nothing more comes from here, so that the VMM ends its side by itself."""
        if self.socket is not None:
            with contextlib.suppress(OSError):  # its end is gone already
                self.socket.shutdown(socket.SHUT_WR)

    def close(self, seconds: float = 0.1) -> None:
        """Read what is left, for so long at most, then close."""
        if self.socket is None:
            return
        self.half_close()
        deadline = time.monotonic() + seconds
        while _readable(self.socket, deadline - time.monotonic()) and self.read():
            pass
        self.socket.close()
        self.socket = None
        self.input = b""


def _readable(readable: socket.socket, seconds: float) -> bool:
    """Whether there is something to read, or the end, within so long."""
    poller = select.poll()
    poller.register(readable, select.POLLIN)
    return bool(poller.poll(max(0.0, seconds) * 1000))


def _inode(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_ino  # noqa: PTH116  pathlib costs memory
    except OSError:
        return 0


def _connect(connecting: socket.socket, path: str) -> None:
    """Through the directory's descriptor: the whole path may exceed the 107 bytes of sun_path."""
    directory, _, name = path.rpartition("/")
    descriptor = os.open(directory or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connecting.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
