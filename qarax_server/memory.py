"""Memory that is free goes back to the system: a long list, or many hosts at once, leave nothing behind.

glibc would keep it for good (mallopt(3)): with the first large block that is freed it raises the size from
which blocks get memory of their own, and what lies free below one small block that lives on is not returned.
Another C library lacks these calls, and the habit.
"""

from __future__ import annotations

import asyncio
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGE_BYTES = -1, -3, 1 << 17
TRIM_SECONDS = 1.0
"""A trim takes 0.3 ms when there is little to return, some 2 ms after a list of 10,000."""

_libc = ctypes.CDLL(None)


def return_large_blocks() -> None:
    """Have large blocks (a list's text) returned when they are freed."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        _libc.mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)


async def keep_returning() -> None:
    """Have whole pages that are free among small blocks returned, for as long as this runs."""
    while hasattr(_libc, "malloc_trim"):
        await asyncio.sleep(TRIM_SECONDS)
        _libc.malloc_trim(0)
