"""The connection to the keeper: frames, answers by number, descriptors, reconnecting.

Used by `keeper_client.py` alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOGGER = logging.getLogger(__name__)
VERSION = 1
LENGTH_BYTES = 4
LARGEST_FRAME = 1 << 24
CALL_SECONDS = 30.0
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 1.0


class KeeperError(Exception):
    """The keeper refused. `code` is its stable word: `running`, `spawn_failed`, `no_console`, `held`, …."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class KeeperUnavailableError(KeeperError):
    """The keeper does not answer; whether a call that was under way took effect is unknown."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, "keeper_unavailable")


class KeeperLink:
    """One connection, shared by every caller; pushed frames go to `pushed`."""

    def __init__(self, path: Path, pushed: Callable[[dict[str, Any]], None]) -> None:
        self.connected = asyncio.Event()
        self.on_connected: list[Callable[[], None]] = []
        self.on_disconnected: list[Callable[[], None]] = []
        self._path = path
        self._pushed = pushed
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def open(self) -> None:
        """Return once the keeper answered; from then on reconnect alone."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="keeper")
        waiter = asyncio.create_task(self.connected.wait())
        await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Disconnect for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def call(self, do: str, fields: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        """Ask once and return what came under `ok`; the keeper's refusal is a KeeperError."""
        connection = self._socket
        if connection is None:
            raise KeeperUnavailableError(f"the keeper at {self._path} is not there; start it (qarax up does)")
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._send(connection, {"id": number, "v": VERSION, "do": do, **fields}, fds)
                return await answer
        except TimeoutError:
            raise KeeperUnavailableError(f"the keeper did not answer {do} in {CALL_SECONDS:.0f} s") from None
        except OSError as error:
            raise KeeperUnavailableError(f"the keeper went away: {error.strerror}") from error
        finally:
            self._waiting.pop(number, None)

    async def _send(self, connection: socket.socket, message: dict[str, Any], fds: Sequence[int]) -> None:
        body = json.dumps(message).encode()
        frame = len(body).to_bytes(LENGTH_BYTES, "big") + body
        sending = self._send_frame(connection, frame, [os.dup(fd) for fd in fds])
        # Shielded: a frame cut short by a cancelled caller would garble every later one.
        await asyncio.shield(asyncio.create_task(sending))

    async def _send_frame(self, connection: socket.socket, frame: bytes, fds: list[int]) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with self._sending:
                if fds:
                    # The length goes first and waits for room, so that the next send finds some.
                    await loop.sock_sendall(connection, frame[:LENGTH_BYTES])
                    sent = socket.send_fds(connection, [frame[LENGTH_BYTES:]], fds)
                    frame = frame[LENGTH_BYTES + sent :]
                await loop.sock_sendall(connection, frame)
        finally:
            for descriptor in fds:
                os.close(descriptor)

    async def _run(self) -> None:
        pause, told = FIRST_RETRY_SECONDS, ""
        while True:
            try:
                await self._serve()
            except (OSError, KeeperError) as error:
                if told != (told := str(error)):
                    LOGGER.warning("waiting for the keeper at %s: %s", self._path, error)
            pause = min(pause * 2, LAST_RETRY_SECONDS)
            if self.connected.is_set():
                pause = FIRST_RETRY_SECONDS
                self.connected.clear()
                for listener in self.on_disconnected:
                    listener()
            await asyncio.sleep(pause)

    async def _serve(self) -> None:
        """Connect, greet and read until the connection ends, which raises."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            await _connect(loop, connection, self._path)
            self._socket = connection
            reader = asyncio.create_task(self._read(connection), name="keeper-reader")
            try:
                await self._greet()
                await reader
            finally:
                self._socket = None
                reader.cancel()
                await asyncio.wait({reader})

    async def _greet(self) -> None:
        hello = await self.call("hello", {})
        if hello["version"] != VERSION:
            raise KeeperError(
                f"the keeper speaks protocol {hello['version']}, this node {VERSION}: restart the keeper "
                "with the one of this release (its VMMs live on)",
                "keeper_version",
            )
        await self.call("subscribe", {})
        self.connected.set()
        for listener in self.on_connected:
            listener()

    async def _read(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = bytearray()
        try:
            while data := await loop.sock_recv(connection, 1 << 16):
                buffer += data
                while (frame := _take_frame(buffer)) is not None:
                    self._dispatch(frame)
            raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(KeeperUnavailableError("the keeper went away during the call"))

    def _dispatch(self, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        if number is None:
            self._pushed(frame)
            return
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if "error" in frame:
            future.set_exception(KeeperError(frame["error"], frame["code"]))
        else:
            future.set_result(frame["ok"])


def _take_frame(buffer: bytearray) -> dict[str, Any] | None:
    length = int.from_bytes(buffer[:LENGTH_BYTES], "big")
    if length > LARGEST_FRAME:
        raise ConnectionResetError(errno.ECONNRESET, f"a frame of {length} bytes is none of the keeper's")
    if len(buffer) < LENGTH_BYTES + length or not buffer:
        return None
    frame: dict[str, Any] = json.loads(buffer[LENGTH_BYTES : LENGTH_BYTES + length])
    del buffer[: LENGTH_BYTES + length]
    return frame


async def _connect(loop: asyncio.AbstractEventLoop, connection: socket.socket, path: Path) -> None:
    """Connect through the directory's descriptor: the path may be longer than the 107 bytes of sun_path."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        await loop.sock_connect(connection, f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
