"""Watches the nodes: one event stream per host, begun again whenever it ends.

A node that falls silent is given a while before its host is called unknown (hysteresis), reconnects are
jittered, and a connection that hangs is ended rather than waited for. What is seen goes to the `reconciler`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable

from qarax_server.control.core import Core
from qarax_server.control.inbox import Inbox
from qarax_server.control.reconciler import Reconciler
from qarax_server.control.tasks import end
from qarax_server.errors import DatabaseUnavailable, NodeUnavailable, NodeUntrusted, QaraxError
from qarax_server.models import Host
from qarax_server.observed import NodeEvent, NodeFacts, Observation, Removed, Snapshot
from qarax_server.store import hosts

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
"""Before the first new attempt; each one after it waits twice as long, up to `reconnect_seconds`."""
TOUCH_SECONDS = 5.0
SWEEP_SECONDS = 1.0
CAUSES = {"refused": ": connection refused", "cannot be resolved": ": the name cannot be resolved"}


class Watcher:
    """One host's stream. `answered` is set when it is first known whether the node answers."""

    def __init__(self, core: Core, reconciler: Reconciler, inbox: Inbox, host: Host) -> None:
        self.host = host
        self.answered = asyncio.Event()
        self.heard_at = time.monotonic() if host.reachable else float("-inf")
        self._core = core
        self._reconciler = reconciler
        self._inbox = inbox
        self._settings = core.settings.monitor
        self._pause = FIRST_PAUSE_SECONDS

    async def run(self) -> None:
        """Follow the node for as long as this runs."""
        while True:
            try:
                await self._follow()
            except DatabaseUnavailable as error:
                log.warning("what host %s says cannot be written: %s", self.host.name, error)
            except QaraxError as error:
                await self._failed(await self._core.nodes.explain(self.host, error))
            except TimeoutError:
                await self._core.nodes.reset(self.host.id)
                await self._failed(NodeUnavailable("it fell silent"))
            pause = min(self._pause, self._settings.reconnect_seconds)
            self._pause = 2 * pause
            await asyncio.sleep(pause * random.uniform(0.2, 1.0))  # noqa: S311 - jitter

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        client = await self._core.nodes.dial(self.host)
        async with asyncio.timeout(self._settings.call_seconds) as silence:
            stream = client.watch(self._settings.heartbeat_seconds)
            async with contextlib.aclosing(stream):
                async for event in stream:
                    # writing may take its time; only the node's silence counts
                    silence.reschedule(None)
                    if not await self._take(event):
                        return
                    silence.reschedule(loop.time() + self._settings.call_seconds)

    async def _take(self, event: NodeEvent) -> bool:
        """Take one event; False when this is not the host's node."""
        if isinstance(event, Snapshot):
            await self._inbox.forget(self.host.id)
            if not await self._reconciler.take_snapshot(self.host, event):
                self.answered.set()
                return False
            self.heard_at, self._pause = time.monotonic(), FIRST_PAUSE_SECONDS
            self.answered.set()
            return True
        self.heard_at = time.monotonic()
        if isinstance(event, Observation):
            self._inbox.put(self.host.id, event)
        elif isinstance(event, Removed):
            await self._inbox.forget(self.host.id, event.vm_id)
            await self._reconciler.forget_stranger(self.host, event.vm_id)
        elif isinstance(event, NodeFacts):
            await self._reconciler.take_facts(self.host, event)
        return True

    async def _failed(self, error: QaraxError) -> None:
        """Call the host unknown: at once when another is there, else when it was silent for long enough."""
        untrusted = isinstance(error, NodeUntrusted)
        if untrusted or time.monotonic() - self.heard_at >= self._settings.silence_seconds:
            where = f"{self.host.address}:{self.host.port}"
            why = next((sentence for word, sentence in CAUSES.items() if word in error.message.lower()), "")
            silent = f"its node does not answer at {where}{why}"
            try:
                await self._reconciler.lose(self.host, f"{where}: {error.message}" if untrusted else silent)
            except QaraxError as failure:
                log.warning("that host %s is away cannot be written: %s", self.host.name, failure)
                return
        self.answered.set()


class Monitor:
    """All watchers, and what happens now and then."""

    def __init__(self, core: Core, reconciler: Reconciler) -> None:
        self._core = core
        self._reconciler = reconciler
        self._inbox = Inbox(core, reconciler)
        self._watchers: dict[str, tuple[Watcher, asyncio.Task[None]]] = {}
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to watch."""
        self._background = [
            asyncio.create_task(self._inbox.write()),
            asyncio.create_task(self._repeat(TOUCH_SECONDS, self._touch)),
            asyncio.create_task(self._repeat(SWEEP_SECONDS, self._reconciler.settle_open)),
            asyncio.create_task(self._repeat(TOUCH_SECONDS, self.refresh)),
        ]

    async def stop(self) -> None:
        """End all watching."""
        tasks = [*self._background, *(task for _, task in self._watchers.values())]
        self._background, self._watchers = [], {}
        await end(*tasks)

    async def refresh(self) -> None:
        """Watch exactly the hosts that are to be watched, at their present addresses; none on a standby."""
        async with self._core.database.connection() as c:
            wanted = {host.id: host for host in await hosts.list_watched_hosts(c)}
        if not self._background:
            return
        for host_id, (watcher, task) in list(self._watchers.items()):
            now = wanted.get(host_id)
            if task.done():
                log.error("watching host %s had ended: it begins anew", watcher.host.name)
            elif now is not None and (now.address, now.port) == (watcher.host.address, watcher.host.port):
                continue
            await self.drop(host_id)
        for host in wanted.values():
            if host.id not in self._watchers:
                watcher = Watcher(self._core, self._reconciler, self._inbox, host)
                self._watchers[host.id] = (watcher, asyncio.create_task(watcher.run()))

    async def drop(self, host_id: str) -> None:
        """End a host's stream and connection with all that waits on it."""
        await self._end_stream(host_id)
        await self._core.nodes.reset(host_id)

    async def ask(self, host_id: str, seconds: float) -> None:
        """Ask a host's node at once and wait, at most so long, until it is known whether it answers."""
        known = self._watchers.get(host_id)
        if known is None or time.monotonic() - known[0].heard_at > self._core.settings.monitor.call_seconds:
            # no call can be under way that is worth waiting for, and a new connection dials at once
            await self.drop(host_id)
        await self._end_stream(host_id)
        await self.refresh()
        if host_id in self._watchers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._watchers[host_id][0].answered.wait(), seconds)

    async def look_again(self) -> None:
        """Ask every node for its whole state: the database may have lost what it had committed."""
        for host_id in list(self._watchers):
            await self._end_stream(host_id)
        await self.refresh()

    async def _end_stream(self, host_id: str) -> None:
        known = self._watchers.pop(host_id, None)
        if known is not None:
            await end(known[1])

    async def _touch(self) -> None:
        now = time.monotonic()
        heard = [
            host_id
            for host_id, (watcher, _) in self._watchers.items()
            if now - watcher.heard_at < TOUCH_SECONDS
        ]
        if heard:
            async with self._core.database.transaction() as tx:
                await hosts.touch_hosts(tx, heard)

    async def _repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except DatabaseUnavailable as error:
                log.warning("%s waits for the database: %s", work.__name__, error)
            await asyncio.sleep(seconds)
