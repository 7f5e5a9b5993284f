"""The VMM's one loop: API connections, signals, and what the guest does, strictly one after another.

While a request runs nothing else happens, SIGTERM included, as in the real one. Bytes become requests in
`wire.py`, requests become answers in `router.py`, the guest lives in a thread of its own (`machine.py`).
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
from collections import deque
from typing import TYPE_CHECKING

from tests.fakes.cloud_hypervisor.wire import TOO_MANY_CONNECTIONS, Parser, Request

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 10
MOST_FDS = 253
HANG_UP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Connection:
    """One API client."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.parser = Parser()
        self.output = b""


class Loop:
    """Serves until `handle_event` returns an exit code. `handle_request` returns a reply, or None to drop."""

    def __init__(
        self,
        listener: socket.socket,
        handle_request: Callable[[Request], bytes | None],
        handle_event: Callable[[str], int | None],
    ) -> None:
        self.listener = listener
        self.handle_request = handle_request
        self.handle_event = handle_event
        self.exit_code: int | None = None
        self.posted: deque[str] = deque()
        self.connections: dict[int, Connection] = {}
        self.epoll = select.epoll()
        self.wake_reader, self.wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        listener.setblocking(False)
        self.epoll.register(listener, select.EPOLLIN)
        self.epoll.register(self.wake_reader, select.EPOLLIN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.post("signal"))

    def post(self, event: str) -> None:
        """Tell the loop, from any thread or a signal handler."""
        self.posted.append(event)
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake_writer, b"\0")

    def run(self) -> int:
        while self.exit_code is None:
            for number, events in self.epoll.poll():
                if number == self.wake_reader:
                    self._take_posted()
                elif number == self.listener.fileno():
                    self._accept()
                elif number in self.connections:
                    self._serve(self.connections[number], events)
                if self.exit_code is not None:
                    break
        return self.exit_code

    def _take_posted(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_reader, 4096)
        while self.posted and self.exit_code is None:
            self.exit_code = self.handle_event(self.posted.popleft())

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        if len(self.connections) >= CONNECTIONS:
            client.send(TOO_MANY_CONNECTIONS)
            client.close()
            return
        client.setblocking(False)
        self.connections[client.fileno()] = Connection(client)
        self.epoll.register(client, select.EPOLLIN | select.EPOLLRDHUP)

    def _serve(self, connection: Connection, events: int) -> None:
        """A peer that has hung up, even half, gets nothing more."""
        if events & HANG_UP:
            self._drop(connection)
            return
        if events & select.EPOLLIN:
            self._read(connection)
        if events & select.EPOLLOUT:
            self._write(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data, ancillary, _, _ = connection.socket.recvmsg(65536, socket.CMSG_SPACE(4 * MOST_FDS))
        except OSError:
            self._drop(connection)
            return
        if not data:
            self._drop(connection)
            return
        requests = connection.parser.feed(data, _descriptors(ancillary))
        for request in requests:
            answer = self.handle_request(request)
            if answer is None:
                self._drop(connection)
                return
            connection.output += answer
            if self.exit_code is not None:
                self._write(connection)
                return
        connection.output += b"".join(connection.parser.replies)
        connection.parser.replies.clear()
        if connection.output:
            self.epoll.modify(connection.socket, select.EPOLLOUT | select.EPOLLRDHUP)

    def _write(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.output)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        connection.output = connection.output[sent:]
        if not connection.output:
            self.epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLRDHUP)

    def _drop(self, connection: Connection) -> None:
        del self.connections[connection.socket.fileno()]
        self.epoll.unregister(connection.socket)
        for descriptor in connection.parser.fds:
            os.close(descriptor)
        connection.socket.close()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    return list(received)
