"""The dashboard inside a real tmux: what it shows, how it takes another size, and where its copies go."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.terminal.pty_screen import DASHBOARD

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
LOOK_SECONDS = 0.05
DEADLINE = 30


class Tmux:
    """A server of its own, whose one window is the dashboard."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm-256color", "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip

    async def run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("tmux", "-f", "/dev/null", "-S", self._socket, *arguments),
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return output.decode()

    async def press(self, *keys: str) -> None:
        await self.run("send-keys", *keys)

    async def says(self, condition: Callable[[str], bool], *command: str) -> None:
        """Waits until the condition holds for what a command prints."""
        until, text = time.monotonic() + DEADLINE, ""
        while time.monotonic() < until:
            text = await self.run(*command)
            if condition(text):
                return
            await asyncio.sleep(LOOK_SECONDS)
        pytest.fail(f"not in time; tmux says:\n{text}")

    async def shows(self, condition: Callable[[str], bool]) -> None:
        """Waits until the condition holds for what is on the screen."""
        await self.says(condition, "capture-pane", "-p")


@asynccontextmanager
async def in_tmux(folder: Path, plane: ControlPlane) -> AsyncIterator[Tmux]:
    tmux = Tmux(folder)
    try:
        await tmux.run("new-session", "-d", "-x", "100", "-y", "30", *DASHBOARD, "--server", plane.url)
        await tmux.shows(lambda text: "Welcome" in text)
        await tmux.press("Enter")
        await tmux.shows(lambda text: "Welcome" not in text)
        yield tmux
    finally:
        await tmux.run("kill-server")


async def test_it_moves_shrinks_and_grows(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        for number in range(50):
            plane.add("vm", name=f"vm-{number:02}")
        async with in_tmux(tmp_path, plane) as tmux:
            await tmux.press("j")
            await tmux.shows(lambda text: "› vm-01" in text)
            await tmux.run("resize-window", "-x", "20", "-y", "5")
            await tmux.shows(lambda text: "too small" in " ".join(text.split()))
            await tmux.run("resize-window", "-x", "160", "-y", "50")
            await tmux.shows(lambda text: "› vm-01" in text and "vm-40" in text)
            await tmux.press("C-q")
            await tmux.says(lambda text: "no server" in text or "error connecting" in text, "list-windows")


async def test_a_copy_reaches_its_buffer(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1")
        async with in_tmux(tmp_path, plane) as tmux:
            await tmux.press("y", "Enter")
            await tmux.shows(lambda text: "Copied" in text)
            await tmux.says(lambda text: text == vm, "show-buffer")
