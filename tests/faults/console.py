"""A reader of a VM's console that goes on at its offset, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from tests.faults.world import World


@dataclass
class Follower:
    """Collects `seen` (bytes in order), `end` (the offset behind them), `gaps`, and steps `backwards`.

    One that is `thorough` goes back for what it was too slow to be sent live.
    """

    world: World
    vm_id: str
    seen: bytearray = field(default_factory=bytearray)
    gaps: list[Any] = field(default_factory=list)
    marks: list[Any] = field(default_factory=list)
    pause: float = 0.0
    thorough: bool = False
    end: int = 0
    backwards: int = 0
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def has(self, count: int) -> bool:
        return len(self.seen) >= count

    async def has_all_of(self, vm_id: str) -> bool:
        """Whether it has read, byte for byte, what the console's file holds."""
        kept = (self.world.state.runtime / f"{vm_id}.console.log").read_bytes()
        return bytes(self.seen) == kept

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                await self._follow()
            await asyncio.sleep(0.1)

    async def _follow(self) -> None:
        path = f"/vms/{self.vm_id}/console?from={self.end}&follow=true"
        async with self.world.session.ws_connect(self.world.url + path) as socket:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    self.take(message.data)
                    await asyncio.sleep(self.pause)
                elif message.type == aiohttp.WSMsgType.TEXT:
                    said = json.loads(message.data)
                    if self.thorough and "too slow" in said.get("reason", ""):
                        return
                    self._note(said)

    def take(self, data: bytes) -> None:
        """Take the next bytes."""
        self.seen += data
        self.end += len(data)

    def _note(self, said: dict[str, Any]) -> None:
        if said["type"] == "offset":
            self.backwards += said["offset"] < self.end
            self.end = said["offset"]
        elif said["type"] == "gap":
            self.gaps.append(said)
        elif said["type"] == "mark":
            self.marks.append(said)
