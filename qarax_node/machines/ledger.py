"""What the keeper knows and the node missed: VMMs it started, exits it recorded; read at every connect."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from qarax_node.keeper_client import KeeperError, KeeperExit

if TYPE_CHECKING:
    from collections.abc import Callable

    from qarax_node.keeper_client import KeeperClient
    from qarax_node.processes import Process

Missed = dict[tuple[str, int], KeeperExit]

LOGGER = logging.getLogger(__name__)
KEEPER_SECONDS = 2.0


class Ledger:
    """The keeper's records.

    `exited` is called for each exit, `found` for each VMM that runs when the keeper is
    back, `changed` when it comes or goes.
    """

    def __init__(
        self,
        keeper: KeeperClient,
        exited: Callable[[KeeperExit], None],
        found: Callable[[str, Process], None],
        changed: Callable[[], None],
    ) -> None:
        self.missed: Missed = {}
        self.running: dict[str, Process] = {}
        self._keeper = keeper
        self._exited = exited
        self._found = found
        self._changed = changed
        self._handled = 0
        self._catching_up: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and read; a keeper that is not there yet is waited for in the background."""
        self._keeper.on_exit.append(self._exit)
        self._keeper.on_disconnected.append(self._changed)
        try:
            async with asyncio.timeout(KEEPER_SECONDS):
                await self._keeper.connect()
                exits = await self._keeper.exits(0)
                entries = await self._keeper.entries()
        except (TimeoutError, KeeperError) as error:
            LOGGER.warning("the keeper is not there yet: %s", error or "no answer")
        else:
            self.missed = {(ended.vm_id, ended.pid): ended for ended in exits}
            self._handled = exits[-1].sequence if exits else 0
            self.running = {entry.vm_id: entry.process for entry in entries if entry.running}
        self._keeper.on_connected.append(self._reconnected)

    def _reconnected(self) -> None:
        self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """What was not pushed; whoever watches learns that the keeper is back."""
        try:
            for ended in await self._keeper.exits(self._handled):
                self._exit(ended)
            for entry in await self._keeper.entries():
                if entry.running:
                    self._found(entry.vm_id, entry.process)
        except KeeperError as error:
            LOGGER.warning("what the keeper saw in the meantime is not known: %s", error)
        self._changed()

    def _exit(self, ended: KeeperExit) -> None:
        self._handled = ended.sequence
        self._exited(ended)

    async def close(self) -> None:
        """Let go of the keeper; it and its VMMs stay."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        await self._keeper.close()
