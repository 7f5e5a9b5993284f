"""How fast this host's time stamp counter runs, for guests that cannot find out by themselves.

Under TCG the guest reads the host's counter, and `microvm` with ACPI has no other clock to compare it with
than the PIT, polled in a loop: on a busy host that fails, and a Linux that knows no frequency then hangs.
`spec.py` hands the frequency to such a guest on its kernel command line.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# rdtsc; shl rdx, 32; or rax, rdx; ret
READ_COUNTER = bytes.fromhex("0f31 48c1e220 4809d0 c3")
WINDOW_SECONDS = 0.05
TRIES = 20


@functools.cache
def counter_khz() -> int | None:
    """The frequency in kHz, measured once by CLOCK_MONOTONIC_RAW; None where code pages are forbidden."""
    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except PermissionError:
        return None
    page.write(READ_COUNTER)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    begun, first = _sample(read)
    time.sleep(WINDOW_SECONDS)
    ended, last = _sample(read)
    return round((last - first) * 1_000_000 / (ended - begun))


def _sample(read: Callable[[], int]) -> tuple[int, int]:
    """Nanoseconds and the counter at the same moment: the tightest of some tries."""
    tries = []
    for _ in range(TRIES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        counter = read()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        tries.append((after - before, (before + after) // 2, counter))
    _, at, counter = min(tries)
    return at, counter
