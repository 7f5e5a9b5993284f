"""A range of a console's log as blocks and markers, read through a WebSocket of its own.

A plain GET would give the bytes but not the boots and gaps between them.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from . import web
from .blocks import Block, Marker, as_blocks
from .errors import ServerAway
from .sanitise import safe, safe_json

if TYPE_CHECKING:
    from .api import Api
    from .records import Json

Part = Block | Marker
RANGE_SECONDS = 15.0


async def read_range(api: Api, vm_id: str, start: int, until: int) -> tuple[int, list[Part]]:
    """Where the range really begins (later when older bytes are gone), and its parts up to `until`."""
    socket = await api.open_websocket(f"/vms/{vm_id}/console?from={start}")
    reading = _Range(start, until)
    try:
        async with asyncio.timeout(RANGE_SECONDS):
            await _read(socket, reading)
    except TimeoutError as error:
        raise ServerAway("The console's history did not come in time.", "Scroll up again.") from error
    finally:
        await socket.close()
    return reading.begins, reading.parts()


async def _read(socket: web.aiohttp.ClientWebSocketResponse, reading: _Range) -> None:
    async for message in socket:
        if message.type is web.aiohttp.WSMsgType.BINARY:
            reading.take_bytes(message.data)
        elif message.type is web.aiohttp.WSMsgType.TEXT:
            reading.take_text(message.data)
        if reading.complete:
            break


class _Range:
    """Collects messages until the range is complete."""

    def __init__(self, start: int, until: int) -> None:
        self.begins = start
        self._at = start
        self._until = until
        self._began = False
        self._collected: list[tuple[int, bytearray] | Marker] = []

    @property
    def complete(self) -> bool:
        return self._began and self._at >= self._until

    def take_bytes(self, data: bytes) -> None:
        kept = data[: max(0, self._until - self._at)]
        last = self._collected[-1] if self._collected else None
        if isinstance(last, tuple) and last[0] + len(last[1]) == self._at:
            last[1].extend(kept)
        elif kept:
            self._collected.append((self._at, bytearray(kept)))
        self._at += len(data)

    def take_text(self, text: str) -> None:
        message = parse(text)
        if message.get("type") == "offset":
            self._at = whole(message, "offset")
            if not self._began:
                self.begins, self._began = self._at, True
        elif message.get("type") == "error":
            raise ServerAway(safe(message.get("message") or "The console reported an error."))
        elif (marker := as_marker(message)) is not None:
            self._collected.append(marker)

    def parts(self) -> list[Part]:
        """Blocks of whole pieces and markers, in order."""
        found: list[Part] = []
        for part in self._collected:
            found.extend([part] if isinstance(part, Marker) else as_blocks(part[0], bytes(part[1])))
        return found


def from_line_start(parts: list[Part]) -> list[Part]:
    """Without the rest of the line that the range cut through; all of it when it holds no line's end."""
    first = parts[0] if parts else None
    if not isinstance(first, Block) or b"\n" not in first.data:
        return parts
    cut = first.data.index(b"\n") + 1
    rest = first.data[cut:]
    head: list[Part] = list(as_blocks(first.offset + cut, rest)) if rest else []
    return head + parts[1:]


def parse(text: str) -> Json:
    """A text message; ServerAway when it is none."""
    try:
        message = safe_json(text)
    except ValueError as error:
        raise ServerAway("The console sent something that is no message.") from error
    return message if isinstance(message, dict) else {}


def whole(message: Json, field: str) -> int:
    """A number that is never negative."""
    value = message.get(field)
    return max(0, value) if isinstance(value, int) else 0


def as_marker(message: Json) -> Marker | None:
    """The marker of a `gap` or `mark` message."""
    offset = whole(message, "offset")
    if message.get("type") == "gap":
        return Marker(offset, "gap", gap_text(whole(message, "bytes"), message.get("reason")))
    if message.get("type") != "mark":
        return None
    kind, note = safe(message.get("kind") or "note"), safe(message.get("text") or "")
    moment = message.get("time")
    seconds = moment / 1000 if isinstance(moment, int | float) else None
    return Marker(offset, kind, mark_text(kind, note, seconds), seconds)


def gap_text(missing: int, reason: Any) -> str:
    """The sentence of a gap line."""
    amount = f"{missing:,} bytes" if missing > 0 else "an unknown number of bytes"
    return f"gap: {amount} are missing here" + (f" ({safe(reason)})" if reason else "")


def mark_text(kind: str, note: str, seconds: float | None) -> str:
    """The sentence of a boot, exit, rotation … line."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""
    return "  ".join(part for part in (kind, when, note) if part)
