"""Clients that make, start and delete VMs while a fault happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.faults.world import World
from tests.server.running import until


class Load:
    """`answers`: the status of each request, 0 where the connection ended."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.done = asyncio.Event()

    async def more(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many more requests were answered."""
        wanted = len(self.answers) + count

        async def enough() -> bool:
            return len(self.answers) >= wanted

        await until(enough, seconds)


@contextlib.asynccontextmanager
async def under_load(world: World, clients: int = 6) -> AsyncIterator[Load]:
    """So many clients at once; each ends its round before this ends."""
    load = Load()
    tasks = [asyncio.create_task(_churn(world, load)) for _ in range(clients)]
    try:
        yield load
    finally:
        load.done.set()
        await asyncio.gather(*tasks)


async def _churn(world: World, load: Load) -> None:
    while not load.done.is_set():
        made = await world.request("POST", "/vms", world.new_vm())
        load.answers.append(made.status)
        if made.status == 201:
            path = f"/vms/{made.body}"
            load.answers.append((await world.request("POST", f"{path}/start")).status)
            load.answers.append((await world.request("DELETE", path)).status)
        else:
            await asyncio.sleep(0.05)  # as a client does that was told to try again
