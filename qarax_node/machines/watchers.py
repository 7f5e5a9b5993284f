"""Who is told of changes: each watcher holds a set of VM ids, never a queue that grows.

A watcher that reads slowly misses intermediate states, never the last one.
"""

from __future__ import annotations

import asyncio


class Watcher:
    """The VMs that changed since `take` was last called."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.node_changed = False

    def touch(self, vm_id: str) -> None:
        """Note a change of a VM; "" is the node itself."""
        if vm_id:
            self._changed[vm_id] = None
        else:
            self.node_changed = True
        self._wake.set()

    async def take(self, seconds: float) -> list[str]:
        """Wait for changes for so long; the VMs in the order in which they changed first."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return []
        self._wake.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class Watchers:
    """Every watcher of this node."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def add(self) -> Watcher:
        watcher = Watcher()
        self._watchers.add(watcher)
        return watcher

    def remove(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def touch(self, vm_id: str) -> None:
        """Tell all of a change."""
        for watcher in self._watchers:
            watcher.touch(vm_id)

    def __len__(self) -> int:
        return len(self._watchers)
