"""A VMM reduced to its serial socket, as strict as Cloud Hypervisor's where it matters.

Run in the VM's directory. It writes `--bytes` bytes of numbered lines to whoever is connected, going on
where it stopped when the client comes back, and echoes input in capitals. A client that closes with unread
data ends its serial for good (ECONNRESET). The file `command` steers it: `exit N`, `kill`,
`unbind`, `rebind`, `more N`, `report` (writes the bytes sent to a file of that name).
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import socket
import sys
from pathlib import Path

SOCKET = "serial.sock"


def pattern(start: int, length: int) -> bytes:
    """The bytes that a guest prints from `start` on: lines of 16 bytes, each with its number."""
    first = start // 16
    text = b"".join(b"line %010d\n" % number for number in range(first, (start + length) // 16 + 1))
    return text[start - first * 16 :][:length]


class Guest:
    """One serial port, served until it is told to stop."""

    def __init__(self, total: int, speed: int) -> None:
        self.total, self.speed, self.sent, self.dead = total, speed, 0, False
        self.client: socket.socket | None = None
        self.extra = b""
        self.listener = self.bind()

    def bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(SOCKET)
        listener.listen(1)
        listener.setblocking(False)
        return listener

    def run(self) -> None:
        while True:
            self.obey()
            with selectors.DefaultSelector() as selector:
                if not self.dead:
                    selector.register(self.listener, selectors.EVENT_READ)
                if self.client is not None:
                    more = selectors.EVENT_WRITE if self.extra or self.sent < self.total else 0
                    selector.register(self.client, selectors.EVENT_READ | more)
                for key, mask in selector.select(0.02):
                    self.serve(key.fileobj, mask)

    def serve(self, ready: object, mask: int) -> None:
        if ready is self.listener:
            if self.client is not None:
                self.client.close()
            self.client = self.listener.accept()[0]
            self.client.setblocking(False)
        elif self.client is not None:
            if mask & selectors.EVENT_READ:
                self.hear(self.client)
            if mask & selectors.EVENT_WRITE and self.client is not None:
                self.say(self.client)

    def hear(self, client: socket.socket) -> None:
        try:
            data = client.recv(64)
        except ConnectionResetError:
            self.dead, data = True, b""
        if data:
            self.extra += data.upper()
        else:
            client.close()
            self.client = None

    def say(self, client: socket.socket) -> None:
        try:
            if self.extra:
                self.extra = self.extra[client.send(self.extra) :]
            else:
                self.sent += client.send(pattern(self.sent, min(self.speed, self.total - self.sent)))
        except (BlockingIOError, BrokenPipeError):
            return

    def obey(self) -> None:
        path = Path("command")
        if not path.exists():
            return
        words = path.read_text().split()
        path.unlink()
        if words[0] == "exit":
            sys.exit(int(words[1]))
        elif words[0] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif words[0] == "more":
            self.total += int(words[1])
        elif words[0] == "report":
            Path("report").write_text(str(self.sent))
        elif words[0] in ("unbind", "rebind"):
            self.unbind()
            if words[0] == "rebind":
                self.dead = False
                self.listener = self.bind()

    def unbind(self) -> None:
        """The socket goes, as in the middle of a guest's reboot."""
        self.listener.close()
        Path(SOCKET).unlink(missing_ok=True)
        if self.client is not None:
            self.client.close()
            self.client = None
        self.dead = True


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--speed", type=int, default=1 << 16)
    parser.add_argument("--id", default="")
    given = parser.parse_args()
    Guest(given.bytes, given.speed).run()
