"""Everything the screens show, kept current: a cache of all nouns by id, filled by lists and fed by events.

    fleet = Fleet(api)
    await fleet.start()                 # returns at once; connects in the background, for as long as it lives
    fleet.vms["id"].name                # Mapping[str, Vm]; likewise hosts, storage_pools, … (see `cache`)
    async for changes in fleet.watch(): # coalesced, at most ~20 a second; ends at stop()
        changes.changed("vm"), changes.removed("vm"), changes.reset("vm"), changes.connection, changes.events

The stream is opened before the lists are read, so nothing falls between them; what an event said about an id
wins over a list that may have been read earlier. Losing the server is a state (`fleet.connection`), never an
error: the stream is opened again at the last event seen, and everything is listed anew only when the server
no longer has what was missed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from . import records, web
from .cache import KEPT_EVENTS, Cache
from .changes import Changes, Pending
from .connection import Backoff, Connection, State
from .errors import ApiError, ClientError, ServerAway
from .event_stream import Frame, frames
from .sanitise import safe_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping

    from .api import Api
    from .records import Json, Noun

_log = logging.getLogger(__name__)

BATCH_SECONDS = 0.05
SILENCE_SECONDS = 25.0
TOO_FAR_BEHIND = 5_000
FIRST_EVENTS = KEPT_EVENTS // 4
AT_ONCE = 20
GATHER_SECONDS = 0.04
MANY = 50
"""Chunks with fewer events than this are read no faster than every `GATHER_SECONDS`."""
THEN: tuple[Noun, ...] = (
    "storage_pool",
    "storage_object",
    "boot_source",
    "operation",
    "transfer",
    "orphan",
)
"""What is read after VMs and hosts, in this order."""
BY_NAME: tuple[Noun, ...] = ("vm", "host")
"""Read by name, as they are shown at first: the first page is the top of the screen and stays there."""


class Fleet(Cache):
    """The cache with its feed."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.connection = Connection()
        self.refused: dict[str, str] = {}
        """By noun, why its list could not be read, as a sentence; "event" is the flight recorder."""
        self._sequence: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    # --- for the screens ---------------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """Sequence number of the last event that was seen."""
        return self._sequence or 0

    async def start(self) -> None:
        """Begins to connect and returns at once."""
        self._stopped = False
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="fleet")

    def foresee(self, rows: Mapping[Noun, list[Json]]) -> None:
        """Shows rows that were read before there was a stream; the lists that come with it are newer."""
        for noun, page in rows.items():
            self.merge(noun, page)

    async def stop(self) -> None:
        """Ends the stream and every `watch`."""
        task, self._task, self._stopped = self._task, None, True
        self.wake()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def watch(self) -> AsyncGenerator[Changes, None]:
        """What differs, in batches, until `stop`, be it started or not; the first batch resets every noun."""
        pending = Pending()
        for noun in records.NOUNS:
            pending.changes.note_reset(noun)
        pending.changes.connection = pending.changes.events = True
        pending.wake()
        self._watchers.add(pending)
        try:
            while not self._stopped:
                if changes := await pending.take():
                    yield changes
                await asyncio.sleep(self._pause())
        finally:
            self._watchers.discard(pending)

    def _pause(self) -> float:
        """The length of a batch; none before the first rows, which wait for nothing."""
        return BATCH_SECONDS if self.vms or self.connection.state == "live" else 0.0

    async def details(self, noun: Noun, identifier: str) -> Json:
        """The whole resource, fetched now and then kept current in `raw`; ClientError when it cannot be."""
        if noun == "transfer":
            pool = self.transfers[identifier].storage_pool_id if identifier in self.transfers else ""
            body = await self.api.get_object(f"/storage-pools/{pool}/transfers/{identifier}")
        else:
            body = await self.api.get(noun, identifier)
        self.keep_details(noun, identifier, body)
        return body

    # --- the stream --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await asyncio.to_thread(web.load)
        backoff = Backoff()
        while True:
            try:
                await self._follow(backoff)
            except ClientError as error:
                self._enter("away", error.sentence, error.fix)
            except Exception:  # noqa: BLE001 - the screen must outlive any answer
                _log.exception("the event stream could not be read")
                self._sequence = None
                self._enter("away", "The dashboard could not read what the server sent.", "See its log file.")
            await asyncio.sleep(backoff.next())

    async def _follow(self, backoff: Backoff) -> None:
        """One life of the stream; ends by an error, or to begin anew."""
        headers = {"Accept": "text/event-stream"}
        if self._sequence is not None:
            headers["Last-Event-ID"] = str(self._sequence)
        response = await self.api.open_stream("/events", headers=headers, silence_seconds=SILENCE_SECONDS)
        async with response:
            if response.content_type != "text/event-stream":
                raise ServerAway("What answers there is no control plane.", "Check --server.")
            chunks = frames(response)
            hello, early = await _hello(chunks)
            backoff.succeeded()
            self.connection.heard()
            if self._sequence is None:
                await self._begin(hello, early, chunks)
            elif self.refused or self._missed_too_much(hello):
                self._sequence = None
            else:
                self._enter("live")
                self._apply(early)
                await self._read(chunks)

    async def _begin(self, hello: Json, early: list[Frame], chunks: AsyncIterator[list[Frame]]) -> None:
        """The first time, or after too long: list everything while events come in."""
        sequence = self._sequence = _whole(hello, "sequence", 0)
        self.begin_listing()
        self._enter("loading")
        self._apply(early)
        try:
            await _first_error(self._read(chunks), self._load(sequence))
        except BaseException:
            if self.connection.state == "loading":
                self._sequence = None
            raise

    def _missed_too_much(self, hello: Json) -> bool:
        """Whether listing is better than, or the only way of, catching up."""
        seen, oldest = self._sequence or 0, hello.get("oldest")
        behind = _whole(hello, "newest", seen) - seen
        forgotten = isinstance(oldest, int) and oldest > seen + 1
        return behind < 0 or behind > TOO_FAR_BEHIND or forgotten

    async def _read(self, chunks: AsyncIterator[list[Frame]]) -> None:
        async for batch in chunks:
            self.connection.heard()
            for start in range(0, len(batch), AT_ONCE):
                self._apply(batch[start : start + AT_ONCE])
                await asyncio.sleep(0)  # lets keys through
            if len(batch) < MANY:
                await asyncio.sleep(GATHER_SECONDS)  # a chunk of forty events costs less than ten of four

    def _apply(self, batch: list[Frame]) -> None:
        for frame in batch:
            body = _object(frame)
            sequence = body.get("sequence")
            if isinstance(sequence, int) and sequence > (self._sequence or 0):
                self._sequence = sequence
                self.add_event(body)
        self.wake()

    def _enter(self, state: State, sentence: str = "", fix: str = "") -> None:
        if self.connection.become(state, sentence, fix):
            for pending in self._watchers:
                pending.changes.connection = True
            self.wake()

    # --- the lists ---------------------------------------------------------------------------------------

    async def _load(self, sequence: int) -> None:
        """Reads every list; rows show as their page comes. What is refused is asked for again and again."""
        self.refused.clear()
        await _first_error(self._list("vm"), self._list("host"))  # a row of the first needs one of the other
        for noun in THEN:
            await self._list(noun)
        try:
            older = await self.api.events(after=max(0, sequence - FIRST_EVENTS), limit=FIRST_EVENTS)
        except ClientError as error:
            self._refuse("event", error)
        else:
            self.add_older_events(older, sequence)
        self._enter("live")
        backoff = Backoff()
        while refused := [noun for noun in records.NOUNS if noun in self.refused]:
            await asyncio.sleep(backoff.next())
            for noun in refused:
                await self._list(noun)
        self.end_listing()

    async def _list(self, noun: Noun) -> None:
        """Reads one list; one that is refused does not spoil the others."""
        present: set[str] = set()
        try:
            async for page in self._pages(noun):
                present |= self.merge(noun, page)
        except ClientError as error:
            self._refuse(noun, error)
        else:
            self.refused.pop(noun, None)
            self.drop_absent(noun, present)

    def _refuse(self, noun: str, error: ClientError) -> None:
        sentence = f"{error.sentence} {error.fix}".strip()
        if self.refused.get(noun) != sentence:
            self.refused[noun] = sentence
            _log.warning("the list of %s was not read: %s", noun, sentence)
            for pending in self._watchers:
                pending.changes.note_reset(noun)
            self.wake()

    async def _pages(self, noun: Noun) -> AsyncIterator[list[Json]]:
        """The pages of a list; a server that does not know the noun has none of it."""
        try:
            if noun == "operation":
                rows, _ = await self.api.get_page("/operations", {"limit": "1000"})
                yield rows[::-1]
            else:
                order = "name" if noun in BY_NAME else "created_at"
                async for page in self.api.pages(noun, sort=order):
                    yield page
        except ApiError as error:
            if error.status != 404:  # noqa: PLR2004 - not found
                raise


async def _hello(chunks: AsyncIterator[list[Frame]]) -> tuple[Json, list[Frame]]:
    """The stream's first frame and what came in the same chunk."""
    async for batch in chunks:
        if batch and batch[0].name == "hello":
            return _object(batch[0]), batch[1:]
        if batch:
            break
    raise ServerAway("The event stream did not begin with hello.", "Check --server.")


def _whole(hello: Json, field: str, otherwise: int) -> int:
    value = hello.get(field)
    return value if isinstance(value, int) else otherwise


def _object(frame: Frame) -> Json:
    try:
        value = safe_json(frame.data)
    except ValueError as error:
        raise ServerAway("The event stream sent something that is no event.") from error
    return value if isinstance(value, dict) else {}


async def _first_error(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts together; the first error ends the others and is raised by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
