"""A program on a pseudo-terminal, timed to the moment its bytes arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyte

from tests.tui.terminal.pty_screen import Terminal


class TimedTerminal(Terminal):
    """Looks whenever something was written, not now and then; `painted_at` is when that last was."""

    def __init__(self, folder: Path, *arguments: str, **options: Any) -> None:
        super().__init__(folder, *arguments, **options)
        self.painted_at = 0.0
        self._news = asyncio.Event()

    async def when(self, condition: Callable[[], object], seconds: float = 60.0) -> float:
        """Wait for a condition of the screen; return when (`time.monotonic`) what made it true arrived."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not in {seconds:.0f} s; the screen shows:\n{self.text}") from None
        return self.painted_at

    def _read(self) -> None:
        arrived = time.monotonic()
        super()._read()
        self.painted_at = arrived
        self._news.set()


class RawTerminal(TimedTerminal):
    """The same without a screen, for a program that writes more than an emulated one can take."""

    def __init__(self, folder: Path, *arguments: str, **options: Any) -> None:
        super().__init__(folder, *arguments, **options)
        self._stream = _Deaf(self._screen)


class _Deaf(pyte.ByteStream):
    def feed(self, data: bytes) -> None:  # type: ignore[override]  # as pyte's own ByteStream
        """Nobody looks."""
