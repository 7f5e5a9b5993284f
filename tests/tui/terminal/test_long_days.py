"""The long forms, run by `make faults`: many keys, many hostile sequences, a server away for a minute."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.world import furnish
from tests.tui.terminal.desk import assert_only_own_bytes, dashboard, welcomed

KEYS = (
    *"abcdefghijklmnoprstuvwxyzADGHNOST12345678/:?& ", "\r", "\x1b", "\t", "\x7f", "\x0c", "\x13",
    "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F",
)  # fmt: skip
"""Everything but what leaves (q), what unlocks (L) and the palette, which offers both."""
PAGE_DOWN, ENTER, ESCAPE = "\x1b[6~", "\r", "\x1b"
LOOK = (
    *(
        "2",
        PAGE_DOWN,
        ENTER,
        ESCAPE,
        "3",
        PAGE_DOWN,
        "4",
        PAGE_DOWN,
        "5",
        PAGE_DOWN,
        "6",
        "7",
        "8",
        PAGE_DOWN,
    ),
    *(ESCAPE, "1", PAGE_DOWN, PAGE_DOWN, "g", "y", ESCAPE, "e", ESCAPE, ENTER, "c"),
)
"""Through every view, the copy menu, a form, the details, into the console."""
CALM = 0.3
MINUTE = 60


def corpus() -> list[str]:
    """More than five hundred sequences, each with a mark that must not come out again as a sequence."""
    csi = [f"{start}{private}31337{final}" for start, private, final in itertools.product(
        ("\x1b[", "\x9b"), ("", "?", ">"), map(chr, range(0x40, 0x7F)))]  # fmt: skip
    strings = [
        f"{start}{number};31337{end}"
        for start, number, end in itertools.product(
            ("\x1b]", "\x9d", "\x1bP", "\x90", "\x1b_", "\x1b^", "\x1bX"),
            ("0", "2", "4", "8", "9", "50", "52", "133", "777", "1337"),
            ("\x07", "\x1b\\", "\x9c", ""),
        )
    ]
    escapes = [f"\x1b{chr(final)}31337" for final in range(0x20, 0x7F)]
    controls = [f"{chr(code)}31337" for code in (*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0xFEFF)]
    return [*csi, *strings, *escapes, *controls]


def chunks(sequences: list[str], size: int) -> Iterable[str]:
    return ("".join(sequences[at : at + size]) for at in range(0, len(sequences), size))


def furnish_with(plane: ControlPlane, sequences: list[str]) -> str:
    """Every noun carries them; the VM whose console writes all of them, a byte at a time, comes first."""
    first = plane.add("vm", silently=True, name=f"!{sequences[0]}", status="running")
    for name in chunks(sequences, 12):
        host = plane.add("host", silently=True, name=name, status="up", status_reason=name, address=name)
        plane.add("vm", silently=True, name=name, host_id=host, status="running", status_reason=name)
        pool = plane.add("storage_pool", silently=True, name=name, config={"path": name})
        plane.add("storage_object", silently=True, name=name, storage_pool_id=pool)
        plane.add("boot_source", silently=True, name=name, kernel_params=name)
        plane.add("operation", silently=True, subject_name=name, reason=name, actor=name, subject_id=first)
        plane.add("orphan", silently=True, name=name, host_id=host)
    return first


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_ten_thousand_random_keys_in_read_only_mode_send_nothing_but_get(tmp_path: Path) -> None:
    generator = random.Random(20261122)
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(tmp_path, plane, "--read-only") as terminal:
            await welcomed(terminal)
            for _ in range(1_000):
                terminal.press("".join(generator.choices(KEYS, k=10)))
                await asyncio.sleep(0.03)  # as fast as a stuck keyboard
            for _ in range(8):
                terminal.press("\x1b")
                await asyncio.sleep(CALM)  # an escape is one only when nothing follows it
            terminal.press("1")
            await terminal.shows("Name", 120)
            assert terminal.alive
            assert b"Traceback" not in terminal.raw
        assert {method for method, _ in plane.requests} == {"GET"}


@pytest.mark.faults
@pytest.mark.security
@pytest.mark.timeout(600)
async def test_five_hundred_sequences_on_every_view(tmp_path: Path) -> None:
    sequences = corpus()
    assert len(sequences) >= 500
    async with ControlPlane() as plane:
        first = furnish_with(plane, sequences)
        async with dashboard(tmp_path, plane, size=(160, 50)) as terminal:
            await welcomed(terminal)
            for keys in LOOK:
                terminal.press(keys)
                await asyncio.sleep(2 * CALM)  # a look at each view
            for sequence in sequences:
                for byte in f"{sequence} said\r\n".encode():
                    plane.console(first).write(bytes([byte]))
                await asyncio.sleep(0)
            plane.console(first).write(b"the end\r\n")
            await terminal.shows("the end", 120)
            terminal.press("g")
            await asyncio.sleep(CALM)
            assert terminal.alive
            assert_only_own_bytes(bytes(terminal.raw))


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_server_away_for_a_minute_with_the_console_open(tmp_path: Path) -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="survivor", status="running")
        plane.console(vm).write(b"before the fall\r\n")
        async with dashboard(tmp_path, plane) as terminal:
            await welcomed(terminal)
            terminal.press("c")
            await terminal.shows("before the fall")
            await plane.kill()
            await terminal.shows("Trying again")
            for number in range(MINUTE):
                plane.console(vm).write(b"nobody heard %d\r\n" % number)
                await asyncio.sleep(1)  # the minute itself
                assert terminal.alive
            assert "before the fall" in terminal.text
            await plane.revive()
            assert await terminal.shows(f"nobody heard {MINUTE - 1}", 30) < 5
            assert plane.console(vm) is not None
            assert b"Traceback" not in terminal.raw
