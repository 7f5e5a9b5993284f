"""Who may change things: one lease in the database, by the database's clock, with a number that only grows.

The holder renews it and carries its number on every call that changes something; nodes remember the newest
and refuse older ones. A server that could not renew in time stops by itself, before anybody else may begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from qarax_server.database import Database
from qarax_server.errors import DatabaseUnavailable, NotActive
from qarax_server.settings import Lease as LeaseSettings
from qarax_server.store import lease as store

log = logging.getLogger(__name__)

FREE_SECONDS = 1.0


class Lease:
    """This server's claim to be the active one.

    Args:
        gained: called with the fencing number when this server becomes active.
        lost: called when it stops being so.
    """

    def __init__(
        self,
        database: Database,
        holder: str,
        settings: LeaseSettings,
        gained: Callable[[int], Awaitable[None]],
        lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._holder = holder
        self._settings = settings
        self._gained = gained
        self._lost = lost
        self._fence: int | None = None
        self._until = 0.0
        self._doubted = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether this server may change things at this moment."""
        return self._fence is not None and time.monotonic() < self._until

    def require(self) -> None:
        """Raise NotActive when this server may not change anything."""
        if not self.active:
            raise NotActive("this server is not the active one: it serves reads; try again, or ask the other")

    async def keep(self) -> None:
        """Take the lease when it is free and renew it for as long as this runs."""
        while True:
            try:
                await self._step()
            except DatabaseUnavailable as error:
                log.warning("the lease cannot be renewed: %s", error)
            if self._fence is not None and not self.active:
                await self.step_down("the lease ran out")
            await self._pause()

    async def step_down(self, why: str) -> None:
        """Stop being the active server: somebody else is, or may be."""
        if self._fence is None:
            return
        log.warning("no longer the active server: %s", why)
        self._fence = None
        await self._lost()

    def doubt(self) -> None:
        """A node says that it has seen a newer fencing number: ask the database now who holds the lease.

        A node's word alone ends nothing: a foreign or hostile one could stop this server with it.
        """
        self._doubted.set()

    async def _pause(self) -> None:
        self._doubted.clear()
        seconds = self._settings.renew_seconds if self._fence is not None else FREE_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._doubted.wait()

    async def release(self) -> None:
        """Give it back, so that another server takes over at once."""
        fence, self._fence = self._fence, None
        if fence is None:
            return
        try:
            async with self._database.connection() as c:
                await store.delete_lease(c, self._holder, fence)
        except DatabaseUnavailable as error:
            log.warning("the lease ends by itself in %s s: %s", self._settings.seconds, error)

    async def _step(self) -> None:
        asked = time.monotonic()
        async with self._database.connection() as c:
            if self._fence is not None:
                if not await store.update_lease(c, self._holder, self._fence, self._settings.seconds):
                    await self.step_down("another server has taken the lease")
                    return
                self._until = asked + self._settings.seconds
                return
            fence = await store.claim_lease(c, self._holder, self._settings.seconds)
        if fence is not None:
            self._fence, self._until = fence, asked + self._settings.seconds
            log.info("this is the active server now, fencing number %d", fence)
            await self._gained(fence)
