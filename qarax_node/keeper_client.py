"""The node's end of the keeper's socket: spawn, attach, input, and what the keeper pushes.

The wire is in docs/interfaces.md; the other end is the package `qarax_node.keeper`; the connection itself is
`keeper_link.py`. It connects by itself, and again when the keeper was restarted; calls meanwhile raise
`KeeperUnavailableError`. Listeners are plain functions called in the loop.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from qarax_node.keeper_link import KeeperError as KeeperError  # noqa: PLC0414  part of this interface
from qarax_node.keeper_link import KeeperLink
from qarax_node.keeper_link import KeeperUnavailableError as KeeperUnavailableError  # noqa: PLC0414  part of this interface
from qarax_node.processes import Exit, Process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

T = TypeVar("T")
Listeners = list[Callable[[T], None]]


@dataclass(frozen=True)
class KeeperExit(Exit):
    """A VMM's end as the keeper recorded it; `sequence` grows by one with each."""

    sequence: int = 0
    vm_id: str = ""


@dataclass(frozen=True)
class KeeperEntry:
    """What the keeper holds of one VM; console offsets are bytes since the VM was created."""

    vm_id: str
    process: Process
    running: bool
    attached: bool
    end: int
    oldest: int


@dataclass(frozen=True)
class ConsoleEnd:
    """The console log of a VM grew to `end`."""

    vm_id: str
    end: int


@dataclass(frozen=True)
class Writer:
    """Who may type into a VM's console now; "" when nobody does."""

    vm_id: str
    holder: str


@dataclass(frozen=True)
class Detached:
    """The keeper lost a VM's serial socket and will not get it back by itself."""

    vm_id: str
    reason: str


class KeeperClient:
    """One connection to the keeper, shared by everything in the node."""

    def __init__(self, path: Path) -> None:
        self.on_exit: Listeners[KeeperExit] = []
        self.on_console: Listeners[ConsoleEnd] = []
        self.on_writer: Listeners[Writer] = []
        self.on_detached: Listeners[Detached] = []
        self._link = KeeperLink(path, self._pushed)

    @property
    def connected(self) -> bool:
        return self._link.connected.is_set()

    @property
    def on_connected(self) -> list[Callable[[], None]]:
        """Called after every (re)connect."""
        return self._link.on_connected

    @property
    def on_disconnected(self) -> list[Callable[[], None]]:
        """Called when the keeper went away."""
        return self._link.on_disconnected

    async def connect(self) -> None:
        """Start connecting and wait for the keeper; reconnects by itself until `close`.

        Raises KeeperError `keeper_version` when it speaks another protocol.
        """
        await self._link.open()

    async def close(self) -> None:
        """Let go of the connection; the keeper and its VMMs stay."""
        await self._link.close()

    async def spawn(
        self, vm_id: str, argv: Sequence[str], *, cwd: Path, log: Path, fds: Sequence[int] = ()
    ) -> Process:
        """Start a VM's VMM in its own session; `fds` become 3, 4, … in it and stay open here.

        Raises KeeperError `running` when the VM has one, `spawn_failed` when it could not be executed.
        """
        fields = {"vm": vm_id, "argv": list(argv), "cwd": str(cwd), "log": str(log), "fds": len(fds)}
        got = await self._link.call("spawn", fields, fds)
        return Process(got["pid"], got["start_time"], got["boot_id"])

    async def attach(self, vm_id: str, socket_path: Path, kind: str) -> None:
        """Have the serial socket drained into the log; returns once connected.

        `kind` is `boot` or `reboot` and is marked in the index. The keeper tries until the socket is there or
        the VMM is gone (`no_console`). Again on a socket that is attached already: nothing. A guest reboot
        that makes the VMM bind its socket anew is followed by the keeper alone.
        """
        await self._link.call("attach", {"vm": vm_id, "socket": str(socket_path), "kind": kind})

    async def hint(self, vm_id: str, kind: str, text: str) -> None:
        """Note something at the present end of the console: `reboot`, `exit`, ...."""
        await self._link.call("hint", {"vm": vm_id, "kind": kind, "text": text})

    async def exits(self, after: int) -> list[KeeperExit]:
        """The recorded exits whose sequence is larger than `after`, oldest first."""
        return [_exit(fields) for fields in await self._link.call("exits", {"after": after})]

    async def entries(self) -> list[KeeperEntry]:
        """Every VM the keeper knows."""
        return [_entry(fields) for fields in await self._link.call("list", {})]

    async def input(self, vm_id: str, writer: str, data: bytes, *, takeover: bool = False) -> str:
        """Type into the console; returns the holder. `held` names another holder; empty data only claims."""
        encoded = base64.b64encode(data).decode("ascii")
        fields = {"vm": vm_id, "writer": writer, "data": encoded, "takeover": takeover}
        return str((await self._link.call("input", fields))["holder"])

    async def release(self, vm_id: str, writer: str) -> None:
        """Give the console's input back."""
        await self._link.call("release", {"vm": vm_id, "writer": writer})

    async def forget(self, vm_id: str, *, remove: bool) -> None:
        """The VM is gone; `remove` deletes its console log and index."""
        await self._link.call("forget", {"vm": vm_id, "remove": remove})

    def _pushed(self, frame: dict[str, Any]) -> None:
        if "exit" in frame:
            _tell(self.on_exit, _exit(frame["exit"]))
        for vm_id, end in frame.get("console", {}).items():
            _tell(self.on_console, ConsoleEnd(vm_id, end))
        if "writer" in frame:
            _tell(self.on_writer, Writer(frame["writer"]["vm"], frame["writer"]["holder"]))
        if "detached" in frame:
            _tell(self.on_detached, Detached(frame["detached"]["vm"], frame["detached"]["reason"]))


def _tell(listeners: Listeners[T], value: T) -> None:
    for listener in listeners:
        listener(value)


def _exit(fields: dict[str, Any]) -> KeeperExit:
    return KeeperExit(fields["pid"], fields["status"], fields["time"], fields["sequence"], fields["vm"])


def _entry(fields: dict[str, Any]) -> KeeperEntry:
    process = Process(fields["pid"], fields["start_time"], fields["boot_id"])
    return KeeperEntry(
        fields["vm"], process, fields["running"], fields["attached"], fields["end"], fields["oldest"]
    )
