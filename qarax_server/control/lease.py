"""Who may change things: one lease in the database, by the database's clock, with a number that only grows.

The holder renews it and carries its number on every call that changes something; nodes remember the newest
and refuse older ones. A server that could not renew in time stops by itself, before anybody else may begin.
What follows from what is known is decided in `tenure`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from qarax_server.control.tenure import Tenure
from qarax_server.database import Database
from qarax_server.errors import DatabaseUnavailable, NotActive
from qarax_server.settings import Lease as LeaseSettings
from qarax_server.store import lease as store

log = logging.getLogger(__name__)

FREE_SECONDS = 1.0


def now() -> float:
    """Seconds that are never set back and go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


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
        self._tenure = Tenure()
        self._doubted = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether this server may change things at this moment."""
        return self._tenure.active(now())

    def require(self) -> None:
        """Raise NotActive when this server may not change anything."""
        if not self.active:
            raise NotActive("this server is not the active one: it serves reads; try again, or ask the other")

    async def is_held(self) -> bool:
        """Ask the database whether this server is still the active one; it may have slept.

        Raises:
            DatabaseUnavailable: nobody can tell.
        """
        fence = self._tenure.fence
        if fence is None:
            return False
        async with self._database.connection() as c:
            return await store.update_lease(c, self._holder, fence, self._settings.seconds)

    async def keep(self) -> None:
        """Take the lease when it is free and renew it for as long as this runs."""
        while True:
            try:
                await self._step()
            except DatabaseUnavailable as error:
                log.warning("the lease cannot be renewed: %s", error)
            if self._tenure.over(now()):
                await self.step_down("the lease ran out")
            await self._pause()

    async def step_down(self, why: str) -> None:
        """Stop being the active server: somebody else is, or may be."""
        if self._tenure.fence is None:
            return
        log.warning("no longer the active server: %s", why)
        self._tenure = Tenure()
        await self._lost()

    def doubt(self) -> None:
        """A node says that it has seen a newer fencing number: ask the database now who holds the lease.

        A node's word alone ends nothing: a foreign or hostile one could stop this server with it.
        """
        self._doubted.set()

    async def _pause(self) -> None:
        self._doubted.clear()
        seconds = FREE_SECONDS if self._tenure.fence is None else self._settings.renew_seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._doubted.wait()

    async def release(self) -> None:
        """Give it back, so that another server takes over at once."""
        fence, self._tenure = self._tenure.fence, Tenure()
        if fence is None:
            return
        try:
            async with self._database.connection() as c:
                await store.delete_lease(c, self._holder, fence)
        except DatabaseUnavailable as error:
            log.warning("the lease ends by itself in %s s: %s", self._settings.seconds, error)

    async def _step(self) -> None:
        asked, seconds = now(), self._settings.seconds
        async with self._database.connection() as c:
            if self._tenure.fence is not None:
                if await store.update_lease(c, self._holder, self._tenure.fence, seconds):
                    self._tenure = self._tenure.renewed(asked, seconds)
                else:
                    await self.step_down("another server has taken the lease")
                return
            stale = self._tenure.stale(asked, seconds)
            fence = await store.claim_lease(c, self._holder, seconds, stale)
            if fence is None:
                self._tenure = self._tenure.saw(await store.get_mark(c), now())
                return
        self._tenure = self._tenure.claimed(fence, asked, seconds)
        log.info("this is the active server now, fencing number %d", fence)
        await self._gained(fence)
