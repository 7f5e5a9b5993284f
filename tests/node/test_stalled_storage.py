"""Storage that stops answering: its calls end at their deadline, everything else goes on."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from qarax_node.errors import NodeError
from qarax_node.storage import threads


async def test_a_pool_that_hangs_refuses_and_the_others_go_on() -> None:
    hangs = threading.Event()
    stuck = [threads.run("/hung", 0.3, lambda: hangs.wait(30)) for _ in range(threads.MOST_PER_POOL + 4)]
    began = time.monotonic()
    outcomes = asyncio.gather(*stuck, return_exceptions=True)
    assert await threads.run("/well", 5, lambda: "answer") == "answer"
    for outcome in await outcomes:
        assert isinstance(outcome, NodeError)
        assert (outcome.code, outcome.kind) == ("storage_stalled", "unavailable")
    assert time.monotonic() - began < 3
    with pytest.raises(NodeError):
        await threads.run("/hung", 0.1, lambda: "too early")
    hangs.set()
    assert await threads.run("/hung", 5, lambda: "back") == "back"


async def test_what_the_work_raises_reaches_its_caller() -> None:
    def fail() -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        await threads.run("/pool", 5, fail)
