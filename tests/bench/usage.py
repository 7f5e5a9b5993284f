"""What a process uses: memory and processor time, from /proc."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

MIB = 2**20


def memory_bytes(pid: int) -> int:
    """The memory that is the process's own (private, resident)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(
        int(line.split()[1]) * 1024
        for line in text.splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )


def processor_seconds(pid: int) -> float:
    """User and system time of all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def processor_share(pid: int, seconds: float) -> float:
    """The share of one core that the process takes over the next seconds."""
    began, used = time.monotonic(), processor_seconds(pid)
    await asyncio.sleep(seconds)  # the time that is measured
    return (processor_seconds(pid) - used) / (time.monotonic() - began)


async def settled_memory(pid: int, seconds: float = 15.0) -> int:
    """The memory once it has stopped to grow: two looks, a second apart, that differ by less than 1 %."""
    deadline, before = time.monotonic() + seconds, memory_bytes(pid)
    while time.monotonic() < deadline:
        await asyncio.sleep(1.0)  # the time between two looks
        now = memory_bytes(pid)
        if abs(now - before) < before / 100:
            return now
        before = now
    return before
