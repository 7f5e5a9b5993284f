"""What a key costs over SSH, and that what is left out was on the terminal."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.terminal.desk import dashboard, under_cursor, welcomed
from tests.tui.terminal.pty_screen import Terminal

SIZES = ((80, 24), (160, 50))
TOAST = "▌"
MOVE, PAGE = 2_048, 8_192
"""Bytes; the first is a promise, the second twice what was seen at 160×50."""


@asynccontextmanager
async def a_hundred(folder: Path, size: tuple[int, int]) -> AsyncIterator[Terminal]:
    """A list longer than the screen, with nothing going on."""
    async with ControlPlane(heartbeat=5) as plane:
        host = plane.add("host", name="wide-日本", status="up")
        for number in range(100):
            plane.add("vm", name=f"vm-{number:03}", status="running", host_id=host)
        async with dashboard(folder, plane, size=size) as terminal:
            await welcomed(terminal)
            await terminal.until(lambda: under_cursor(terminal) == "vm-000" and "live" in terminal.text)
            await terminal.quiet()
            yield terminal


async def cost(terminal: Terminal, key: str) -> int:
    """Bytes written for a key."""
    written = len(terminal.raw)
    terminal.press(key)
    await terminal.until(lambda: len(terminal.raw) > written)
    await terminal.quiet(0.15)
    return len(terminal.raw) - written


@pytest.mark.parametrize("size", SIZES)
async def test_a_move_of_the_cursor_takes_two_kilobytes_at_most(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """Also one that scrolls the list: at its last line on the screen, and back at the first."""
    down, up, last = "\x1b[6~", "\x1b[5~", "G"
    async with a_hundred(tmp_path, size) as terminal:
        moves = [await cost(terminal, key) for key in "j k"]
        pages = []
        for page, move in ((down, "j"), (up, "k"), (last, "k"), (up, "k")):
            pages.append(await cost(terminal, page))
            moves.append(await cost(terminal, move))
    assert max(moves) <= MOVE
    assert max(pages) <= PAGE


async def test_what_is_on_the_screen_is_what_a_redraw_paints(tmp_path: Path) -> None:
    """Keys of all kinds, views and questions opened and closed; after them nothing is out of place."""
    views, moves, others = (
        "1236791",
        ("j", "k", "G", "g", "\x1b[6~", "\x1b[5~"),
        (" ", "?", "\x1b", "x"),
    )
    chance = random.Random(7)
    async with a_hundred(tmp_path, (100, 30)) as terminal:
        for _ in range(6):
            for key in chance.choices((*views, *moves, *others), k=5):
                terminal.press(key)
                await terminal.quiet(0.05)
            await terminal.until(lambda: TOAST not in terminal.text)
            await terminal.quiet()
            _, *shown = terminal.cells
            await cost(terminal, "\x0c")
            assert terminal.cells[1:] == shown  # the header counts the seconds


async def test_what_others_wrote_is_painted_over_when_it_goes_on(tmp_path: Path) -> None:
    async with a_hundred(tmp_path, (100, 30)) as terminal:
        shown = terminal.text
        for number in (signal.SIGTSTP, signal.SIGCONT):
            os.kill(terminal.pid, number)
            await terminal.quiet()
            if number == signal.SIGTSTP:
                terminal.show("\x1b[2Jsome shell")
        assert terminal.text == shown


async def test_a_terminal_made_smaller_and_large_again_is_whole(tmp_path: Path) -> None:
    async with a_hundred(tmp_path, (100, 30)) as terminal:
        shown = terminal.text
        terminal.resize(60, 10)
        terminal.resize(100, 30)
        await terminal.until(lambda: terminal.text == shown)
