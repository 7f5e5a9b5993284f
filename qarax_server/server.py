"""The running control plane: its parts, when each begins, and how all of it ends."""

from __future__ import annotations

import asyncio
import logging

from qarax_server.api.application import make_application
from qarax_server.api.events import FEED
from qarax_server.api.hosts import MONITOR
from qarax_server.api.services import let_go, maintain, provide, take_up
from qarax_server.api.system import READY
from qarax_server.control.core import Core
from qarax_server.control.feed import Feed
from qarax_server.control.lease import Lease
from qarax_server.control.monitor import Monitor
from qarax_server.control.reconciler import Reconciler
from qarax_server.control.tasks import end
from qarax_server.database import Database
from qarax_server.errors import DatabaseUnavailable, QaraxError, Unavailable
from qarax_server.migrations import migrate
from qarax_server.nodes.channels import Nodes
from qarax_server.settings import Settings
from qarax_server.store import events, operations, tokens, transfers

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
HOUSEKEEPING_SECONDS = 3600.0


class Server:
    """One control plane. `holder` is its name in the lease: the same after a restart, another elsewhere."""

    def __init__(self, settings: Settings, holder: str) -> None:
        self.settings = settings
        database = Database(settings.database)
        networks = settings.application.allowed_networks
        nodes = Nodes(settings.node_tls, settings.monitor.call_seconds, networks)
        lease = Lease(database, holder, settings.lease, self._gained, self._lost)
        nodes.on_older_fence = lease.doubt
        self.core = Core(settings, database, nodes, lease)
        self._monitor = Monitor(self.core, Reconciler(self.core))
        self._feed = Feed(database, self._monitor.look_again)
        self._migrated = False
        self._active: asyncio.Task[None] | None = None
        self.app = make_application()
        provide(self.app, self.core, self._monitor.ask)
        self.app[MONITOR] = self._monitor
        self.app[FEED] = self._feed
        self.app[READY] = self.check_ready

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Work until told to stop.

        Raises:
            MigrationError: the schema does not fit this program.
        """
        stop = asyncio.create_task(stopping.wait())
        begin = asyncio.create_task(self._migrate())
        await asyncio.wait({begin, stop}, return_when=asyncio.FIRST_COMPLETED)
        work = [begin]
        if begin.done():
            begin.result()
            parts = (self.core.lease.keep(), self._feed.run(), self._keep_house())
            work += [asyncio.create_task(part) for part in parts]
            await asyncio.wait({stop, *work[1:]}, return_when=asyncio.FIRST_COMPLETED)
        await end(stop, *work)
        for task in work:
            if not task.cancelled():
                task.result()
        log.info("stopping: up to %s s for what runs", self.settings.application.drain_seconds)

    async def drain(self) -> None:
        """Let running actions end, tell subscribers, give the lease back."""
        self._feed.end()
        late = await self.core.tasks.drain(self.settings.application.drain_seconds - 2.0)
        if late:
            log.warning("%d actions are left open; the next server settles them", late)
        await self._lost()
        await self.core.lease.release()

    async def close(self) -> None:
        """End every connection."""
        await self._lost()
        await self.core.nodes.close()
        await self.core.database.close()

    async def check_ready(self) -> None:
        """Return when this server can change things; raise what is in the way otherwise."""
        async with self.core.database.connection() as c:
            await c.execute("SELECT 1")
        if not self._migrated:
            raise Unavailable("the schema is being brought up to date", code="migrating")
        self.core.lease.require()

    async def _migrate(self) -> None:
        said = ""
        while not self._migrated:
            try:
                await migrate(self.core.database)
                await self._look_for_tokens()
                self._migrated = True
            except DatabaseUnavailable as error:
                if error.message != said:
                    log.warning("waiting for the database: %s", error)
                said = error.message
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_for_tokens(self) -> None:
        """Serve even so: the first token may come at any time, and until then everybody is refused."""
        if not self.settings.auth.required:
            return
        async with self.core.database.connection() as c:
            if not await tokens.list_valid_digests(c):
                log.warning(
                    "auth.required is set and no token is valid, so nobody can come in: make one with "
                    "`qarax-server token create NAME --role admin`"
                )

    async def _gained(self, fence: int) -> None:
        self.core.nodes.fence = fence
        await self._monitor.start()
        self._active = asyncio.create_task(self._be_active())

    async def _lost(self) -> None:
        await self._monitor.stop()
        await end(self._active)
        await let_go(self.app)

    async def _be_active(self) -> None:
        """What only the active server does: go on with what was begun, and look after pools."""
        while True:
            try:
                await take_up(self.app)
                break
            except DatabaseUnavailable as error:
                log.warning("waiting for the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
        await maintain(self.app)

    async def _keep_house(self) -> None:
        keep = self.settings.retention
        while True:
            try:
                async with self.core.database.connection() as c:
                    await events.delete_old_events(c, keep.events_days)
                    await operations.delete_old_operations(c, keep.operations_days)
                    await transfers.delete_old_transfers(c, keep.operations_days)
            except QaraxError as error:
                log.warning("old history stays for now: %s", error)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
