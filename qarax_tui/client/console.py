r"""One VM's console by byte offset: live bytes, history on demand, gaps and boots, input.

    feed = ConsoleFeed(api, vm_id)
    await feed.start()                  # the last lines first, then live; for ever again at the exact offset
    feed.ring                           # the kept lines, see `ring`
    feed.state, feed.sentence           # connecting, live, away or gone, and why
    async for _ in feed.watch(): ...    # wakes at most every 50 ms when bytes, marks or state differ
    await feed.load_older()             # one more piece of history; False when the oldest byte is in the ring
    await feed.load_newer()             # after much history: forward again; False when at the live end
    await feed.attach(takeover=False); await feed.send(b"ls\n"); await feed.detach()

The wire is in docs/interfaces.md (Console). How history is fetched is in `console_history`; what is kept of
the log, in `console_log`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal

from . import web
from .changes import Pending
from .connection import Backoff
from .console_history import as_marker, parse, read_range, whole
from .console_input import InputState, answered, as_away, away
from .console_log import ConsoleLog
from .errors import ApiError, ClientError, ReadOnly, ServerAway
from .sanitise import safe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from .api import Api

State = Literal["connecting", "live", "away", "gone"]
BATCH_SECONDS = 0.05
HISTORY_BYTES = 512 * 1024
NOT_FOUND = 404


class ConsoleFeed:
    """The stream of one console into a ring."""

    def __init__(self, api: Api, vm_id: str, ring_bytes: int = 32 * 2**20) -> None:
        self.api = api
        self.vm_id = vm_id
        self.log = ConsoleLog(ring_bytes)
        self.ring = self.log.ring
        self.state: State = "connecting"
        self.sentence = ""
        self.since = time.time()
        self.input = InputState()
        self._socket: web.aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self._watchers: set[Pending] = set()

    # --- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to connect and returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"console {self.vm_id}")

    async def stop(self) -> None:
        """Leaves; a claim on the input ends with the connection."""
        task, self._task = self._task, None
        self._wake()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def watch(self) -> AsyncGenerator[None, None]:
        """Wakes in batches until `stop`; the first time at once."""
        pending = Pending()
        pending.wake()
        self._watchers.add(pending)
        try:
            while self._task is not None:
                await pending.take()
                yield None
                await asyncio.sleep(BATCH_SECONDS if self.ring.size else 0.0)  # the first bytes wait for none
        finally:
            self._watchers.discard(pending)

    def raw(self) -> Iterator[bytes]:
        """What is kept, byte for byte."""
        return self.ring.raw()

    # --- history -----------------------------------------------------------------------------------------

    @property
    def has_older(self) -> bool:
        """Whether the log may hold bytes in front of the ring."""
        return self.log.has_older

    async def load_older(self) -> bool:
        """Puts one more piece of history in front; ClientError when the server is away."""
        until = self.ring.start_offset
        if not self.has_older:
            return False
        asked = max(0, until - HISTORY_BYTES)
        begins, parts = await read_range(self.api, self.vm_id, asked, until)
        self.log.at_oldest = begins > asked or asked == 0
        if self.ring.start_offset == until:
            self.log.put_in_front(parts)
            self._wake()
        return not self.log.at_oldest

    async def load_newer(self) -> bool:
        """Goes on after the ring's end when history pushed the live end out; ClientError as above."""
        if not self.ring.detached:
            return False
        start = self.ring.end_offset
        _, parts = await read_range(self.api, self.vm_id, start, min(self.log.end, start + HISTORY_BYTES))
        self.log.put_behind(parts)
        self._wake()
        return self.ring.detached

    async def to_oldest(self) -> None:
        """The ring begins at the oldest byte kept, without what is far from it; ClientError as above."""
        if not self.has_older:
            return
        begins, parts = await read_range(self.api, self.vm_id, 0, HISTORY_BYTES)
        if not parts:
            begins, parts = await read_range(self.api, self.vm_id, begins, begins + HISTORY_BYTES)
        if self.ring.start_offset <= begins + HISTORY_BYTES:
            while await self.load_older():
                pass
            return
        self.log.begin_at_oldest(begins, parts)
        self._wake()

    async def to_live_end(self) -> None:
        """Forgets what is kept and begins again with the last lines; needed only when detached."""
        if self.ring.detached:
            self.log.begin_again()
            await self._hang_up()

    # --- input -------------------------------------------------------------------------------------------

    async def attach(self, *, takeover: bool = False) -> None:
        """Claims the input, as soon as there is a first connection; the answer comes as `input`.

        `takeover` ends another's claim.
        """
        if self.api.read_only:
            raise ReadOnly("Read-only mode is on, the console takes no input.", "Turn it off first.")
        self.input = InputState(asked=True)
        try:
            if self.state != "connecting":
                await self._say({"type": "attach", "takeover": takeover})
        except ClientError:
            self.input = InputState()
            raise
        finally:
            self._wake()

    async def detach(self) -> None:
        """Gives the input back."""
        await self._say({"type": "detach"})
        self.input = InputState()
        self._wake()

    async def send(self, data: bytes) -> None:
        """Types into the guest; only while attached."""
        if not self.input.attached:
            raise ClientError("The console is not attached for input.", "Attach first.")
        with as_away():
            await self._open_socket().send_bytes(data)

    async def _say(self, message: dict[str, Any]) -> None:
        with as_away():
            await self._open_socket().send_json(message)

    def _open_socket(self) -> web.aiohttp.ClientWebSocketResponse:
        if self._socket is None or self._socket.closed:
            raise away()
        return self._socket

    def _take_error(self, sentence: str) -> None:
        if not self.input.asked:
            raise ServerAway(sentence)
        self.input = InputState(refused=sentence)

    # --- the stream --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        backoff = Backoff()
        while self.state != "gone":
            try:
                await self._follow(backoff)
            except ApiError as error:
                gone = error.status == NOT_FOUND
                self._enter("gone" if gone else "away", error.sentence)
            except ClientError as error:
                self._enter("away", error.sentence)
            await asyncio.sleep(backoff.next())

    async def _follow(self, backoff: Backoff) -> None:
        socket = await self.api.open_websocket(f"/vms/{self.vm_id}/console?{self.log.wanted}&follow=true")
        self._socket = socket
        self._enter("live")
        try:
            if self.input.asked:
                await self.attach()
            async for message in socket:
                if message.type is web.aiohttp.WSMsgType.BINARY:
                    self.log.take_bytes(message.data)
                    self._wake()
                elif message.type is web.aiohttp.WSMsgType.TEXT:
                    self._take_text(message.data)
                    backoff.succeeded()
        finally:
            await self._hang_up()
        raise ServerAway("The console's connection ended.", "It is opened again by itself.")

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def _take_text(self, text: str) -> None:
        message = parse(text)
        kind, marker = message.get("type"), as_marker(message)
        if kind == "offset":
            self.log.take_offset(whole(message, "offset"))
        elif marker is not None:
            self.log.take_marker(marker)
        elif kind == "input":
            self.input = answered(self.input, message)
        elif kind == "error":
            self._take_error(safe(message.get("message") or "The console reported an error."))
        self._wake()

    # --- telling -----------------------------------------------------------------------------------------

    def _enter(self, state: State, sentence: str = "") -> None:
        if state != self.state:
            self.since = time.time()
        if state != "live":
            self.input = InputState()
        self.state, self.sentence = state, sentence
        self._wake()

    def _wake(self) -> None:
        for pending in self._watchers:
            pending.wake()
