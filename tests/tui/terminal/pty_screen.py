"""The dashboard as a real process on a real pseudo-terminal: keys in, bytes out, and the screen they make."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte
import pytest

DASHBOARD = (sys.executable, "-c", "import sys; from qarax_tui.cli import main; sys.exit(main())")


class Terminal:
    """`raw` is everything the program ever wrote; `lines` is what a terminal shows of it."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        size: tuple[int, int] = (100, 30),
        term: str = "",
        command: Sequence[str] = DASHBOARD,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.raw = bytearray()
        self._told_all = False
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._size = size
        self._command = [*command, *arguments]
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "TERM": term or "xterm-256color",
            "COLORTERM": "truecolor",
            **(environment or {}),
        }
        self._environment.pop("QARAX_SERVER", None)

    async def __aenter__(self) -> Self:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            columns, rows = self._size
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(self._command[0], self._command, self._environment)  # noqa: S606 - the child of the fork
        self.resize(*self._size)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it was just killed
        os.close(self._fd)

    @property
    def alive(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return False

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def cells(self) -> list[list[pyte.screens.Char]]:
        """Every cell with its colours."""
        columns, rows = self._size
        return [[self._screen.buffer[y][x] for x in range(columns)] for y in range(rows)]

    def show(self, text: str) -> None:
        """What another program writes to the same terminal."""
        self._stream.feed(text.encode())

    def press(self, keys: str | bytes) -> None:
        os.write(self._fd, keys if isinstance(keys, bytes) else keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> float:
        """Seconds until it holds; fails with the screen at the deadline."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > seconds:
                pytest.fail(f"not in time; the screen shows:\n{self.text}")
            await asyncio.sleep(0.005)
        return time.monotonic() - started

    async def shows(self, text: str, seconds: float = 30.0) -> float:
        return await self.until(lambda: text in self.text, seconds)

    async def quiet(self, seconds: float = 0.3) -> None:
        """Nothing was written for so long."""
        written = -1
        while written != len(self.raw):
            written = len(self.raw)
            await asyncio.sleep(seconds)

    async def ends(self) -> None:
        """It has ended, and what it wrote last has been read."""
        await self.until(lambda: self._told_all and not self.alive)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # nobody has the other side open any more
            self._told_all = True
            asyncio.get_running_loop().remove_reader(self._fd)
            return
        self.raw += data
        self._stream.feed(data)
