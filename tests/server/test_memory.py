"""What is freed among small blocks that live on goes back to the system."""

from __future__ import annotations

import asyncio
import os

from qarax_server import memory
from tests.bench.usage import MIB, memory_bytes
from tests.server.running import until

BLOCK_BYTES = 1000  # of the C library's heap: Python keeps up to 512 bytes itself


async def test_a_block_that_stays_keeps_no_others() -> None:
    blocks = [bytes(BLOCK_BYTES) for _ in range(64 * MIB // BLOCK_BYTES)]
    full = memory_bytes(os.getpid())
    stays = blocks[-1]
    del blocks

    async def gone() -> bool:
        return memory_bytes(os.getpid()) < full - 60 * MIB

    returning = asyncio.create_task(memory.keep_returning())
    try:
        await until(gone, 10)
    finally:
        returning.cancel()
    assert len(stays) == BLOCK_BYTES
