"""What only a real terminal shows: latency, silence, hostile bytes, a dead server, a shrinking window."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.terminal.desk import assert_only_own_bytes, dashboard, under_cursor, welcomed
from tests.tui.terminal.pty_screen import Terminal

ROOT = Path(__file__).parents[3]
COLOUR = re.compile(rb"[34]8;2;(\d+);(\d+);(\d+)")
HOSTILE = (
    *("\x1b[31337m", "\x1b]52;c;UFdORUQ=\x07", "\x1b]0;PWNED\x07", "\x1bP31337q\x1b\\", "\x9b31337m"),
    *("\x1b[6n", "\x1bc", "\x1b[?1049l", "\u202e", "\u2066", "\x07", "\x0e", "\r", "\x08", "\x7f", "\ud800"),
    *("[/]", "[bold]"),
)


@asynccontextmanager
async def busy_plane(count: int, rate: int) -> AsyncIterator[str]:
    """The address of a control plane in a process of its own; it ends with its standard input."""
    script = str(Path(__file__).with_name("busy_plane.py"))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        str(count),
        str(rate),
        cwd=ROOT,
        stdin=pipe,
        stdout=pipe,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def pressed(terminal: Terminal, key: str) -> float:
    """Seconds from the key until the cursor stands on another row."""
    before = under_cursor(terminal)
    terminal.press(key)
    return await terminal.until(lambda: under_cursor(terminal) not in ("", before))


async def test_keys_are_answered_while_ten_thousand_vms_change(tmp_path: Path) -> None:
    """The goal is a p95 of 33 ms (see the performance table); the bound allows for a busy machine."""
    async with busy_plane(10_000, 1_000) as url, Terminal(tmp_path, "--server", url) as terminal:
        await welcomed(terminal)
        await terminal.shows("10,000")
        waits = sorted([await pressed(terminal, "j" if number < 20 else "k") for number in range(40)])
        assert waits[int(len(waits) * 0.95)] < 1.0


async def test_keys_that_come_in_a_burst_go_where_each_would_have_gone(tmp_path: Path) -> None:
    """What is typed after `/` and into a question never acts on the list behind it."""
    async with ControlPlane() as plane:
        for name in ("pax", "nap", "sax"):
            plane.add("vm", name=name, status="running")
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            terminal.press("/pax\r")
            await terminal.shows("filter pax")
            assert "marked" not in terminal.text
            terminal.press("Dpax\r")
            await terminal.until(lambda: "Nothing matches" in terminal.text)
            terminal.press(":hosts\r1:filter nap\rxn:filter sax\rDnap\x1b")
            await terminal.until(lambda: "Delete sax?" not in terminal.text and "filter sax" in terminal.text)
            assert [method for method, _ in plane.requests if method != "GET"] == ["DELETE"]


async def test_nothing_is_written_and_little_is_done_when_nothing_happens(tmp_path: Path) -> None:
    async with ControlPlane(heartbeat=0.5) as plane:
        for number in range(50):
            plane.add("vm", name=f"vm-{number:02}", status="created")
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            await terminal.until(lambda: "vm-10" in terminal.text)
            await asyncio.sleep(1.5)  # first paints and toasts are over
            written, busy = len(terminal.raw), terminal.processor_seconds()
            await asyncio.sleep(4)  # the time that is measured
            assert len(terminal.raw) - written < 2_000
            assert terminal.processor_seconds() - busy < 0.5


async def test_no_byte_of_a_hostile_server_or_guest_reaches_the_terminal(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        evil = "".join(HOSTILE)
        host = plane.add("host", name=f"h{evil}", status="up", status_reason=evil, address=evil)
        vm = plane.add(
            "vm", name=f"vm{evil}", host_id=host, status="running", description=evil, status_reason=evil
        )
        plane.add("storage_pool", name=f"pool{evil}", config={"path": evil})
        plane.add("boot_source", name=f"boot{evil}", kernel_params=evil, description=evil)
        plane.add("operation", subject_name=evil, subject_id=vm, reason=evil, action=evil, actor=evil)
        for sequence in HOSTILE:
            plane.console(vm).write(f"guest {sequence} says\r\n".encode("utf-8", "surrogatepass"))
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            for keys in ("2", "3", "4", "5", "6", "7", "1", "\r", "\x1b", "c"):
                terminal.press(keys)
                await asyncio.sleep(0.3)  # a look at each view
            await terminal.shows("says")
            assert terminal.alive
            raw = bytes(terminal.raw)
        assert_only_own_bytes(raw)


async def test_a_killed_server_leaves_a_banner_and_comes_back_by_itself(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="survivor", status="running")
        plane.console(vm).write(b"before the fall\r\n")
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            terminal.press("c")
            await terminal.shows("before the fall")
            await plane.kill()
            plane.console(vm).write(b"while nobody listened\r\n")
            await terminal.until(lambda: not any("live" in line for line in terminal.lines[:3]))
            terminal.press("\x1b[5~\x1b[6~")
            await plane.revive()
            await terminal.shows("while nobody listened", 5)
            assert "before the fall" in terminal.text
            assert terminal.alive
            assert b"Traceback" not in terminal.raw


async def test_it_lives_through_a_resize_storm_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        for number in range(50):
            plane.add("vm", name=f"vm-{number:02}")
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            for size in ((20, 5), (200, 60), (20, 5), (1, 1), (80, 24), (20, 5), (100, 30)):
                terminal.resize(*size)
                terminal.press("j")
                await asyncio.sleep(0.1)  # a terminal is resized step by step
            await terminal.shows("vm-0")
            terminal.press("\x11")
            await terminal.ends()
            assert b"\x1b[?1049l" in terminal.raw
            assert b"Traceback" not in terminal.raw


@pytest.mark.parametrize("term", ["dumb", "xterm", "screen"])
async def test_it_starts_on_a_poor_terminal(tmp_path: Path, term: str) -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="plain")
        async with dashboard(tmp_path, plane, term=term) as terminal:
            await terminal.until(lambda: "plain" in terminal.text or not terminal.alive)
            assert b"Traceback" not in terminal.raw


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
async def test_a_signal_ends_it_quietly(tmp_path: Path, number: signal.Signals) -> None:
    async with ControlPlane() as plane:
        plane.add("vm", name="web")
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            os.kill(terminal.pid, number)
            await terminal.ends()
            assert b"Traceback" not in terminal.raw
            assert b"\x1b[?1049l" in terminal.raw


async def test_what_is_copied_is_told_to_the_terminal(tmp_path: Path) -> None:
    """By OSC 52, which also crosses SSH."""
    async with ControlPlane() as plane:
        plane.add("vm", name="web-1")
        async with dashboard(tmp_path, plane, environment={"TMUX": ""}) as terminal:
            await welcomed(terminal)
            await terminal.until(lambda: under_cursor(terminal) == "web-1")
            terminal.press("y")
            await terminal.shows("Copy web-1 as")
            terminal.press("\x1b[B\r")
            told = b"\x1b]52;c;" + base64.b64encode(b"web-1") + b"\x07"
            await terminal.until(lambda: told in terminal.raw)


async def test_without_colours_it_writes_only_greys(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        for number, status in enumerate(("running", "paused", "unknown", "shutdown")):
            plane.add("vm", name=f"vm-{number}", status=status)
        async with dashboard(tmp_path, plane, environment={"NO_COLOR": "1"}) as terminal:
            await welcomed(terminal)
            terminal.press(" xy")
            await terminal.shows("vm-3")
            colours = set(COLOUR.findall(bytes(terminal.raw)))
        assert colours
        assert {(red, green, blue) for red, green, blue in colours if not red == green == blue} == set()
