"""What a VMM says of itself: its event file, followed by offset, woken by inotify.

`--event-monitor path=events` is a regular file in the VM's directory: it never blocks the VMM's start (a FIFO
waits for its reader), never loses or truncates an event for want of a reader (a full pipe does), and is still
there, whole, when the node comes back. One inotify descriptor serves every VM; an idle VM costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qarax_node import files
from qarax_node.drivers.base import DriverError, Status
from qarax_node.drivers.cloud_hypervisor.trimming import Trimmed

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER = logging.getLogger(__name__)
FILE = "events"
HISTORY = "events.history"
IN_MODIFY, IN_DELETE, IN_IGNORED = 0x2, 0x200, 0x8000
CHANGES = IN_MODIFY | IN_DELETE
LOST = -1  # the watch of a record that says that records were lost
HEADER = struct.Struct("iIII")
READ_BYTES = 1 << 16
LARGEST_EVENT = 1 << 16

Event = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True)
class History:
    """What the events of one VMM add up to.

    `off`: the VM was shut down and not booted again. `leaving`: the VMM was told to end, by whomever.
    `rebooting`: a reboot began and has not ended.
    """

    status: Status = Status.CREATED
    off: bool = False
    leaving: bool = False
    rebooting: bool = False
    panicked: bool = False
    reboots: int = 0

    def add(self, event: Event) -> None:
        """Take one event in."""
        name = f"{event.get('source')}/{event.get('event')}"
        if name in {"vm/booted", "vm/rebooted"}:
            self.reboots += name == "vm/rebooted"
            self.status, self.off, self.rebooting, self.panicked = Status.RUNNING, False, False, False
        elif name == "vm/resumed":
            self.status = Status.RUNNING
        elif name == "vm/paused":
            self.status = Status.PAUSED
        elif name == "vm/rebooting":
            self.rebooting = True
        elif name == "vm/shutdown":
            self.status, self.off = Status.SHUTDOWN, True
        elif name in {"vm/deleted", "vmm/shutdown"}:
            self.leaving = True
        elif name == "guest/panic":
            self.panicked = True


@dataclass(slots=True)
class EventFile:
    """The event file of the VMM that works in `directory`, read as far as it has grown."""

    directory: str
    offset: int = 0
    history: History = field(default_factory=History)
    _text: str = ""
    _trimmed: Trimmed = field(default_factory=Trimmed)

    def __post_init__(self) -> None:
        try:
            kept = files.read_json(Path(self.directory, HISTORY))
            self.offset = int(kept["offset"])
            self.history = History(**{**kept["history"], "status": Status(kept["history"]["status"])})
        except (OSError, KeyError, TypeError, ValueError):
            self.offset, self.history = 0, History()

    def read(self) -> list[Event]:
        """The whole events since the last call; half of one waits for its rest."""
        with contextlib.suppress(FileNotFoundError), Path(self.directory, FILE).open("rb") as file:
            file.seek(self.offset)
            while data := file.read(READ_BYTES):
                self.offset += len(data)
                self._text += data.decode("utf-8", errors="replace")
        events = self._take()
        for event in events:
            self.history.add(event)
        if self._trimmed.is_due(self.offset) and not self._text:
            self._trim()
        return events

    def _trim(self) -> None:
        """Keep what the events add up to, then let them go."""
        kept = {"offset": self.offset, "history": asdict(self.history)}
        try:
            files.write_json(Path(self.directory, HISTORY), kept, durable=False)
        except OSError as error:
            LOGGER.warning("the events in %s are not trimmed: %s", self.directory, error)
        else:
            self._trimmed.trim(Path(self.directory, FILE), self.offset)

    def _take(self) -> list[Event]:
        decoder = json.JSONDecoder()
        events: list[Event] = []
        text = self._text
        while text := text.lstrip():
            try:
                event, end = decoder.raw_decode(text)
            except ValueError:
                rest = _skip_broken(text)
                if rest == text:
                    break
                text = rest
                continue
            if isinstance(event, dict):
                events.append(event)
            text = text[end:]
        self._text = text
        return events


def _skip_broken(text: str) -> str:
    """An event cut short on a full disk: go on at the next one, which begins a line of its own."""
    following = text.find("\n{", 1)
    if following > 0:
        return text[following + 1 :]
    return text if len(text) < LARGEST_EVENT else ""


class Watcher(Generic[T]):
    """Tells the name of a file that grew or went in a watched directory, and what that was watched for.

    One inotify descriptor, in the running loop.
    """

    def __init__(self, told: Callable[[T, str], None]) -> None:
        self._told = told
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _no_inotify("fs.inotify.max_user_instances")
        self._watched: dict[int, T] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._ready)

    def watch(self, directory: str, whose: T) -> int:
        """Begin; the number ends it again. Raises DriverError when the kernel allows no more watches."""
        number = int(self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), CHANGES))
        if number < 0:
            raise _no_inotify("fs.inotify.max_user_watches")
        self._watched[number] = whose
        return number

    def unwatch(self, number: int) -> None:
        if self._watched.pop(number, None) is not None:
            self._libc.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _ready(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number, name in _changes(os.read(self._descriptor, READ_BYTES)):
                if number == LOST:
                    for whose in tuple(self._watched.values()):
                        self._told(whose, FILE)
                elif number in self._watched:
                    self._told(self._watched[number], name)


def _changes(data: bytes) -> dict[tuple[int, str], None]:
    """Watch and file name of every record, each once, in their order."""
    changes: dict[tuple[int, str], None] = {}
    at = 0
    while at < len(data):
        number, mask, _, length = HEADER.unpack_from(data, at)
        name = data[at + HEADER.size : at + HEADER.size + length].rstrip(b"\0")
        at += HEADER.size + length
        if not mask & IN_IGNORED:
            changes[number, os.fsdecode(name)] = None
    return changes


def _no_inotify(setting: str) -> DriverError:
    reason = os.strerror(ctypes.get_errno())
    return DriverError(
        f"the event file of a VM cannot be followed ({reason}): raise the sysctl {setting}",
        code="inotify_exhausted",
        kind="exhausted",
    )
