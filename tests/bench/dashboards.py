"""P8 and P9: how soon a key is answered, and how soon the first row is there, on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench import hello
from tests.bench.fleet import fleet
from tests.bench.measure import in_turns, median, percentile, ratios, spread
from tests.bench.over_ssh import bytes_of_a_move
from tests.bench.rows import Bench, Line, row
from tests.bench.screen import TimedTerminal
from tests.bench.usage import processor_share
from tests.tui.terminal.desk import under_cursor, welcomed
from tests.tui.terminal.test_on_a_terminal import busy_plane

LOAD_SECONDS = 120.0
BETWEEN_KEYS = 0.05
SMALL = 100


@row("P8")
async def keys(bench: Bench) -> list[Line]:
    """Key → frame with many VMs that change all the time, against the same app with 100 VMs."""
    worlds = ((10_000, 1_000), (bench.size(100_000, 20_000), 100))
    lines = [line for count, rate in worlds for line in await _keys(bench, count, rate)]
    return [*lines, await _idle(bench), *await bytes_of_a_move()]


async def _idle(bench: Bench) -> Line:
    """The same dashboard while nothing at all changes."""
    with tempfile.TemporaryDirectory() as folder:
        async with busy_plane(10_000, 0) as url, TimedTerminal(Path(folder), "--server", url) as terminal:
            await _loaded(terminal, 10_000)
            await asyncio.sleep(3.0)  # first paints and toasts are over
            shares = [await processor_share(terminal.pid, bench.size(10, 3)) for _ in range(bench.rounds)]
    return Line(
        "P8",
        "idle, 10,000 VMs, no changes",
        f"{median(shares):.2%} of a core",
        "–",
        "< 0.5 %",
        median(shares) < 0.005,
        spread=spread(shares) if median(shares) else 0.0,
        limit="A tick a second looks whether an age or a countdown on the screen has another text.",
        samples={"idle_share_of_a_core": shares},
    )


async def _keys(bench: Bench, count: int, rate: int) -> list[Line]:
    presses = bench.size(60, 30)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            busy_plane(count, rate) as many,
            busy_plane(SMALL, max(1, rate * SMALL // count)) as few,  # each VM changes as often
            TimedTerminal(Path(folder) / "many", "--server", many) as big,
            TimedTerminal(Path(folder) / "few", "--server", few) as small,
        ):
            await _loaded(small, SMALL)
            await _loaded(big, count)
            await asyncio.sleep(1.0)  # first paints are over
            turns = itertools.cycle("jjkk")
            mine, other = await in_turns(
                presses, lambda: _pressed(big, next(turns)), lambda: _pressed(small, next(turns))
            )
            idle = [await processor_share(big.pid, bench.size(5, 2)) for _ in range(bench.rounds)]
    share = percentile(mine, 0.95) / percentile(other, 0.95)
    what = f"{count:,} VMs, {rate:,} changes/s"
    limit = (
        "One process takes events in and paints: most of the time between keys is reading the stream, JSON "
        "and a record per event; a key waits for twenty events at most."
    )
    lines = [
        Line(
            "P8",
            f"key → frame, {what}",
            f"p95 {percentile(mine, 0.95) * 1000:.0f} ms (median {median(mine) * 1000:.0f})",
            f"{SMALL} VMs: p95 {percentile(other, 0.95) * 1000:.0f} ms",
            "p95 ≤ 33 ms, ≤ 1.2×",
            percentile(mine, 0.95) <= 0.033 and share <= 1.2,
            share,
            spread(mine),
            limit,
            {"many_seconds": mine, "few_seconds": other},
        )
    ]
    if count == 10_000:
        lines.append(
            Line(
                "P8",
                f"between keys, {what}",
                f"{median(idle):.1%} of a core",
                "–",
                "< 10 %",
                median(idle) < 0.1,
                spread=spread(idle),
                limit=limit,
                samples={"share_of_a_core": idle},
            )
        )
    return lines


async def _loaded(terminal: TimedTerminal, count: int) -> None:
    await welcomed(terminal)
    await terminal.when(lambda: f"{count:,}" in terminal.text, LOAD_SECONDS)


async def _pressed(terminal: TimedTerminal, key: str) -> float:
    """Seconds from a key until the cursor stands on another row."""
    await asyncio.sleep(BETWEEN_KEYS)  # a person's pace
    before = under_cursor(terminal)
    began = time.monotonic()
    terminal.press(key)
    return await terminal.when(lambda: under_cursor(terminal) not in ("", before)) - began


@row("P9")
async def first_row(bench: Bench) -> list[Line]:
    """From the start of `qarax` to the first VM of a real control plane, against a hello-world."""
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with fleet(bench, 1, 100) as world:

            async def ours() -> float:
                async with _begun(TimedTerminal(folder / "ours", "--server", world.url)) as (terminal, began):
                    return await terminal.when(lambda: "vm-0000" in terminal.text) - began

            async def theirs() -> float:
                command = ("env", f"PYTHONPATH={root}", sys.executable, hello.__file__)
                async with _begun(TimedTerminal(folder / "theirs", command=command)) as (terminal, began):
                    return await terminal.when(lambda: hello.WORD in terminal.text) - began

            await ours()  # the first start shows a welcome, and compiles
            await theirs()
            mine, other = await in_turns(2 * bench.rounds, ours, theirs)
    share = ratios(mine, other)
    return [
        Line(
            "P9",
            "qarax → the first real row",
            f"{median(mine) * 1000:.0f} ms",
            f"hello-world Textual {median(other) * 1000:.0f} ms",
            "≤ 2×",
            median(share) <= 2,
            median(share),
            spread(share),
            "Imports: Textual's own are the peer's whole time, then come ours, and a screen of eight "
            "widgets. The first page comes by the standard library; aiohttp is imported after it is shown.",
            {"qarax_seconds": mine, "hello_seconds": other},
        )
    ]


@contextlib.asynccontextmanager
async def _begun(terminal: TimedTerminal) -> AsyncIterator[tuple[TimedTerminal, float]]:
    """A terminal, and the moment before its program was started."""
    began = time.monotonic()
    async with terminal:
        yield terminal, began
