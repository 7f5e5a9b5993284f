"""P6 and P7: a console that never rests, and one that is a gigabyte long."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from qarax_tui.client.console_log import FIRST_LINES
from tests.bench import blank
from tests.bench.measure import in_turns, median, percentile, ratios, spread
from tests.bench.rows import Bench, Line, row
from tests.bench.screen import RawTerminal, TimedTerminal
from tests.bench.usage import MIB, memory_bytes
from tests.faults.conftest import begin
from tests.faults.world import CLOUD_HYPERVISOR, World, world_on
from tests.tui.terminal.desk import welcomed

RATE = 12_000
WANTED_RATE = 10_000
LOOK_SECONDS = 0.01
TICK = re.compile(r"tick (\d{9}) (\d{16})")
TICK_BYTES = re.compile(rb"tick (\d{9}) (\d{16})")
Ticks = list[tuple[int, int]]
LAST_LINE = "the very last line"


@dataclass
class Seen:
    """What was on the screen, look by look: ages in seconds, and the newest line's number."""

    ages: list[float] = field(default_factory=list)
    newest: int = 0
    skipped: int = 0

    def look(self, ticks: Ticks, *, whole: bool) -> None:
        """Take the lines on the screen, oldest first; `whole`: no frame is half painted."""
        if not ticks:
            return
        number, written = ticks[-1]
        self.newest = max(self.newest, number)
        self.ages.append(time.monotonic() - written / 1e6)
        if whole:
            self.skipped += sum(after - before != 1 for (before, _), (after, _) in pairwise(ticks))


@row("P6")
async def live_console(bench: Bench) -> list[Line]:
    """A guest's writer → the screen, through keeper, node and server, against `tail -f | cat`."""
    seconds = bench.size(60, 10)
    async with world_on(bench.postgres, CLOUD_HYPERVISOR) as world:
        await begin(world)
        vm_id = await world.create(boot_source_id=await world.boot_source("quiet", f"ticker={RATE}"))
        log = world.state.runtime / f"{vm_id}.console.log"
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            command = ("sh", "-c", f"tail -n 100 -f {log} | cat")
            await world.ok("POST", f"/vms/{vm_id}/start")
            async with RawTerminal(folder / "tail", command=command) as tail:
                peer = await _watched(tail, lambda: _of_bytes(tail.raw), seconds / 3)
            async with TimedTerminal(folder / "qarax", "--server", world.url) as terminal:
                await _console_opened(terminal)
                began, first = time.monotonic(), _last_of(log)
                ours = await _watched(terminal, lambda: _of_screen(terminal), seconds)
                rate = (_last_of(log) - first) / (time.monotonic() - began)
                await world.ok("POST", f"/vms/{vm_id}/stop?grace=0")
                await _ends_at(terminal, _last_of(log))
        _assert_whole(await _plain(world, vm_id))
    age, peer_age = percentile(ours.ages, 0.99), percentile(peer.ages, 0.99)
    return [
        Line(
            "P6",
            f"live console for {seconds} s",
            f"{rate:,.0f} lines/s, age p99 {age * 1000:.0f} ms, {ours.skipped} unmarked gaps",
            f"tail -f | cat: age p99 {peer_age * 1000:.0f} ms",
            "≥ 10,000 lines/s, p99 ≤ 250 ms, nothing lost silently",
            rate >= WANTED_RATE and age <= 0.25 and ours.skipped == 0,
            age / peer_age,
            spread(ours.ages),
            "A line waits for the keeper's write, three hops of whole chunks, and one repaint (50 ms).",
            {"age_seconds": ours.ages, "tail_age_seconds": peer.ages},
        )
    ]


async def _console_opened(terminal: TimedTerminal) -> None:
    await welcomed(terminal)
    await terminal.when(lambda: "vm-" in terminal.text)
    terminal.press("c")
    await terminal.when(lambda: _of_screen(terminal))


async def _watched(terminal: TimedTerminal, ticks: Callable[[], Ticks], seconds: float) -> Seen:
    """Look at a screen again and again, for so long."""
    seen, until, written = Seen(), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        seen.look(ticks(), whole=len(terminal.raw) == written)
        written = len(terminal.raw)
        await asyncio.sleep(LOOK_SECONDS)  # the time between two looks
    assert seen.ages, "no line was seen"
    return seen


def _of_screen(terminal: TimedTerminal) -> Ticks:
    return [(int(number), int(written)) for number, written in TICK.findall(terminal.text)]


def _of_bytes(raw: bytearray) -> Ticks:
    return [(int(number), int(written)) for number, written in TICK_BYTES.findall(bytes(raw[-2000:]))]


def _last_of(log: Path) -> int:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return int(TICK_BYTES.findall(file.read())[-1][0])


async def _ends_at(terminal: TimedTerminal, last: int) -> None:
    """What the guest wrote last is on the screen."""
    await terminal.when(lambda: f"{last:09}" in terminal.text)


async def _plain(world: World, vm_id: str) -> bytes:
    async with world.session.get(f"{world.url}/vms/{vm_id}/console") as response:
        return await response.read()


def _assert_whole(text: bytes) -> None:
    """Every line from the oldest kept to the last is there once, in order."""
    numbers = [int(number) for number, _ in TICK_BYTES.findall(text)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the log has a hole"


@row("P7")
async def long_console(bench: Bench) -> list[Line]:
    """Open a console log at its end, from the key to its last line, against `less +G`."""
    size = bench.size(1024, 64) * MIB
    async with world_on(bench.postgres, CLOUD_HYPERVISOR) as world:
        await begin(world)
        vm_id = await world.run_vm()
        await world.ok("POST", f"/vms/{vm_id}/stop?grace=0")
        log = world.state.runtime / f"{vm_id}.console.log"
        await asyncio.to_thread(_lengthen, log, size)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            less = ("less", "+G", str(log))

            async def theirs() -> float:
                began = time.monotonic()
                async with TimedTerminal(folder / "less", command=less) as terminal:
                    return await terminal.when(lambda: LAST_LINE in terminal.text) - began

            async with (
                TimedTerminal(folder / "qarax", "--server", world.url) as dashboard,
                TimedTerminal(folder / "blank", command=_program(blank)) as empty,
            ):
                await welcomed(dashboard)
                await dashboard.when(lambda: "vm-1" in dashboard.text)
                await empty.when(lambda: blank.READY in empty.text)
                before = memory_bytes(dashboard.pid)
                mine, other, screens, reads = await in_turns(
                    2 * bench.rounds,
                    lambda: _opened(dashboard, LAST_LINE),
                    theirs,
                    lambda: _opened(empty, blank.WORD),
                    lambda: _end_read(world, vm_id),
                )
                grown = (memory_bytes(dashboard.pid) - before) / MIB
    share, floor = ratios(mine, other), median(screens) + median(reads)
    return [
        Line(
            "P7",
            f"open a console log of {size // MIB:,} MiB at its end",
            f"{median(mine) * 1000:.0f} ms, + {grown:.0f} MB",
            f"less +G {median(other) * 1000:.0f} ms (floor {floor * 1000:.0f} ms: an empty Textual screen "
            f"{median(screens) * 1000:.0f}, the end read through the API {median(reads) * 1000:.0f})",
            "≤ 1×, + ≤ 50 MB",
            median(share) <= 1 and grown <= 50,
            median(share),
            spread(share),
            "The end is read by offset, so the log's size does not matter; the floor is a Textual screen "
            "with nothing on it and one read through server and node, both measured in the same run.",
            {
                "qarax_seconds": mine,
                "less_seconds": other,
                "empty_screen_seconds": screens,
                "read_seconds": reads,
                "grown_mib": [grown],
            },
        )
    ]


def _program(module: ModuleType) -> tuple[str, ...]:
    root = str(Path(__file__).parents[2])
    return ("env", f"PYTHONPATH={root}", sys.executable, str(module.__file__))


async def _opened(terminal: TimedTerminal, word: str) -> float:
    """Seconds from the key until the word is painted; it is closed again."""
    began = time.monotonic()
    terminal.press("c")
    seconds = await terminal.when(lambda: word in terminal.text) - began
    terminal.press("\x1b")
    await terminal.when(lambda: word not in terminal.text)
    return seconds


async def _end_read(world: World, vm_id: str) -> float:
    """Seconds for the last lines by a plain GET on a connection that is kept."""
    began = time.monotonic()
    async with world.session.get(f"{world.url}/vms/{vm_id}/console?tail={FIRST_LINES}") as response:
        assert LAST_LINE.encode() in await response.read()
    return time.monotonic() - began


def _lengthen(log: Path, size: int) -> None:
    """Add about so many bytes to a log; their lines are numbered within each block of 1 MiB."""
    block = b"".join(
        b"[%12d] a line of a guest that has much to say\r\n" % number for number in range(MIB // 60)
    )
    with log.open("ab") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(LAST_LINE.encode() + b"\r\n")
