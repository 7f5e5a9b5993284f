"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

DEADLINE = 10.0


async def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Returns as soon as the condition holds; fails at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail("the condition did not come true in time")
        await asyncio.sleep(0.01)
