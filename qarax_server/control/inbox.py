"""Single changes on their way from the nodes' streams into the database, many of them at once.

Of one VM only the newest is kept. What is seen of a VM while an action on it is under way waits for the
action's end: the action's own answer says the same, and an operator reads one change once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from qarax_server.control.core import Core
from qarax_server.control.reconciler import Reconciler
from qarax_server.errors import DatabaseUnavailable, QaraxError
from qarax_server.observed import Observation

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
# what changes at about the same time is written at once
GATHER_SECONDS = 0.01

Batch = dict[str, tuple[str, Observation]]


class Inbox:
    """Changes that arrive while the ones before are being written: VM id → (host id, observation)."""

    def __init__(self, core: Core, reconciler: Reconciler) -> None:
        self._mine = core.mine
        self._reconciler = reconciler
        self._waiting: Batch = {}
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._mine.on_end.append(self._news.set)
        self._mine.on_written.append(self._drop)

    def put(self, host_id: str, seen: Observation) -> None:
        """Take one change; what an earlier generation said of the same VM is dropped."""
        known = self._waiting.get(seen.vm_id)
        if known is None or known[0] != host_id or known[1].generation <= seen.generation:
            self._waiting[seen.vm_id] = (host_id, seen)
        self._news.set()

    def _drop(self, host_id: str, seen: Observation) -> None:
        """What waits and says nothing newer than what was just written need not be written."""
        known = self._waiting.get(seen.vm_id)
        if known is not None and known[0] == host_id and known[1].generation <= seen.generation:
            del self._waiting[seen.vm_id]

    async def forget(self, host_id: str, vm_id: str | None = None) -> None:
        """Write nothing more of what a host said before this moment, of one of its VMs or of all.

        For whoever knows something newer that no generation tells: a VM has left its node.
        """
        async with self._writing:
            self._waiting = {
                each: (home, seen)
                for each, (home, seen) in self._waiting.items()
                if home != host_id or vm_id not in {None, each}
            }

    async def write(self) -> None:
        """Write what arrives, all of it at once, for as long as this runs."""
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(GATHER_SECONDS)
            if not await self._write_waiting():
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_waiting(self) -> bool:
        """Write what waits; False when the database is away, and it waits on."""
        async with self._writing:
            batch = self._take()
            try:
                await self._write(batch)
            except DatabaseUnavailable as error:
                log.warning("%d observed changes wait for the database: %s", len(batch), error)
                self._put_back(batch)
                return False
        return True

    def _take(self) -> Batch:
        busy = self._mine.subjects()
        batch = {vm_id: each for vm_id, each in self._waiting.items() if vm_id not in busy}
        for vm_id in batch:
            del self._waiting[vm_id]
        return batch

    def _put_back(self, batch: Batch) -> None:
        """Keep what could not be written, unless something newer has come."""
        newer, self._waiting = self._waiting, dict(batch)
        for host_id, seen in newer.values():
            self.put(host_id, seen)
        self._news.set()

    async def _write(self, batch: Batch) -> None:
        """Write a batch; one with a value that PostgreSQL refuses, without the host at fault."""
        if not batch:
            return
        try:
            await self._reconciler.take_changes(batch)
        except DatabaseUnavailable:
            raise
        except QaraxError as error:
            shares: dict[str, Batch] = defaultdict(dict)
            for vm_id, each in batch.items():
                shares[each[0]][vm_id] = each
            if len(shares) == 1:
                log.warning("what host %s says of %d VMs is refused: %s", *shares, len(batch), error)
                return
            for share in shares.values():
                await self._write(share)
