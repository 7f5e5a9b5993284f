"""Clients of the keeper: frames in, frames out, file descriptors beside them. Every buffer is bounded."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

MOST_IN = 1 << 20
MOST_OUT = 1 << 24
MOST_FDS = 64
READ_BYTES = 1 << 16


class Client:
    """One connection; `subscribed` ones are told of exits, console ends and writers."""

    __slots__ = ("_in", "_out", "fds", "socket", "subscribed")

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.subscribed = False
        self.fds: list[int] = []
        self._in = bytearray()
        self._out = bytearray()

    def receive(self) -> list[dict[str, Any]]:
        """The whole frames that have arrived. ConnectionError: the client is gone or talks nonsense."""
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, READ_BYTES, MOST_FDS)
        except (BlockingIOError, InterruptedError):
            return []
        for descriptor in fds:
            os.set_inheritable(descriptor, False)
        self.fds += fds
        if not data:
            raise ConnectionError("the client is gone")
        self._in += data
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        if len(self.fds) > MOST_FDS:
            raise ConnectionError("more descriptors than any spawn takes")
        return frames

    def _take(self) -> dict[str, Any] | None:
        if len(self._in) < 4:  # noqa: PLR2004  the length itself
            return None
        length = int.from_bytes(self._in[:4], "big")
        if length > MOST_IN:
            raise ConnectionError(f"a frame of {length} bytes is too long")
        if len(self._in) < 4 + length:
            return None
        try:
            frame = json.loads(self._in[4 : 4 + length])
        except (ValueError, RecursionError) as error:
            raise ConnectionError("a frame is not JSON") from error
        del self._in[: 4 + length]
        if not isinstance(frame, dict):
            raise ConnectionError("a frame is not an object")
        return frame

    def take_fds(self, count: int) -> list[int]:
        """The descriptors that came with a frame, in order; the caller closes them."""
        if not 0 <= count <= len(self.fds):
            raise ValueError(f"{count} descriptors announced, {len(self.fds)} came")
        taken, self.fds = self.fds[:count], self.fds[count:]
        return taken

    @property
    def pending(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._out)

    def send(self, message: dict[str, Any]) -> None:
        """Send what the client takes now, keep the rest. Raises ConnectionError when it does not read."""
        body = json.dumps(message).encode()
        self._out += len(body).to_bytes(4, "big") + body
        self.flush()
        if len(self._out) > MOST_OUT:
            raise ConnectionError("the client does not read")

    def flush(self) -> None:
        """Send what is pending, as far as it goes."""
        try:
            while self._out:
                del self._out[: self.socket.send(self._out[: 1 << 18])]
        except (BlockingIOError, InterruptedError):
            return

    def close(self) -> None:
        """Close the connection and what came with it."""
        self.socket.close()
        for descriptor in self.fds:
            os.close(descriptor)
