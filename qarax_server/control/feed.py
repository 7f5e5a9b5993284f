"""Hands each committed event to every subscriber, read from the database once.

NOTIFY only wakes the reader; what it reads is everything after the last number it saw, and numbers grow in
the order of commits, so nothing is skipped. A subscriber that does not keep up is cut: it comes back with the
number it saw last and reads on from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from qarax_server import measures
from qarax_server.database import Database
from qarax_server.errors import DatabaseUnavailable
from qarax_server.store import events
from qarax_server.store.events import Row

log = logging.getLogger(__name__)

CHANNEL = "qarax_events"
PAGE = 1000
BACKLOG = 5000
RETRY_SECONDS = 0.5


class Subscription:
    """One reader's queue; `None` in it is the end."""

    def __init__(self) -> None:
        self.rows: asyncio.Queue[Row | None] = asyncio.Queue(BACKLOG)
        self.cut = False

    def put(self, row: Row | None) -> None:
        """Take one event, or fall behind for good."""
        if self.cut:
            return
        if row is None or self.rows.qsize() >= BACKLOG - 1:
            self.cut = True
            row = None
        self.rows.put_nowait(row)


class Feed:
    """The one reader of new events. `returned` is called when the database was away and is back."""

    def __init__(self, database: Database, returned: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._returned = returned
        self._position: int | None = None
        self._subscriptions: set[Subscription] = set()

    async def run(self) -> None:
        """Read and hand out, for as long as this runs."""
        was_away = False
        while True:
            try:
                async for _ in self._database.notifications(CHANNEL):
                    if was_away:
                        was_away = False
                        await self._returned()
                    await self._read_on()
            except DatabaseUnavailable as error:
                was_away = True
                log.warning("events wait for the database: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    def end(self) -> None:
        """Let every subscriber go: the server stops."""
        for subscription in self._subscriptions:
            subscription.put(None)

    async def follow(self, after: int | None) -> AsyncGenerator[Row, None]:
        """Yield the events after a number (None: from now on) in the order of their commits, until cut.

        The first row is the hello: where the stream begins, and what is kept. A number that the database does
        not know (it lost its last commits) counts as its newest one: what comes next has such numbers again.
        """
        with self._subscribed() as subscription:
            async with self._database.connection() as c:
                newest, oldest = await events.get_kept(c)
            self._position = newest if self._position is None else self._position
            position = newest if after is None else min(after, newest)
            hello = {"sequence": position, "newest": newest, "oldest": oldest}
            yield Row(position, "hello", json.dumps(hello))
            async for row in self._catch_up(position):
                position = row.sequence
                yield row
            while (next_row := await subscription.rows.get()) is not None:
                if next_row.sequence > position:
                    position = next_row.sequence
                    yield next_row

    async def _catch_up(self, position: int) -> AsyncIterator[Row]:
        while True:
            async with self._database.connection() as c:
                rows = await events.list_events_after(c, position, PAGE)
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            position = rows[-1].sequence

    async def _read_on(self) -> None:
        """Hand out what is new; of what nobody subscribes to, nothing is asked."""
        if not self._subscriptions:
            self._position = None
        if self._position is None:  # whoever subscribes reads by himself up to where he sets it
            return
        began = self._position
        async for row in self._catch_up(began):
            self._position = row.sequence
            measures.EVENT_LAG_SECONDS.set(row.age_seconds)
            for subscription in self._subscriptions:
                subscription.put(row)
        if self._position == began:
            await self._step_back(began)

    async def _step_back(self, position: int) -> None:
        """After a crash the database may be behind what was handed out: new events get such numbers again."""
        async with self._database.connection() as c:
            newest = await events.get_newest_sequence(c)
        if self._position == position:
            self._position = min(position, newest)

    @contextmanager
    def _subscribed(self) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
