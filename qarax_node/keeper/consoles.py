"""The serial consoles of one keeper: connecting and reconnecting, the claim on input, what grew."""

from __future__ import annotations

import math
import os
import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qarax_node.keeper import backlog
from qarax_node.keeper.log import ConsoleLog
from qarax_node.keeper.serial import MOST_INPUT_BYTES, NOT_THERE_YET, Serial

if TYPE_CHECKING:
    import socket

ATTACH_SECONDS = 20.0
REBIND_SECONDS = 5.0
CLOSE_ALL_SECONDS = 1.0
ACCEPT_SECONDS = 2.0
RESTARTED = "the keeper was restarted; what the guest wrote meanwhile may be missing"
GONE = "the serial socket is gone: the console is lost until the guest reboots"

Answer = Callable[[Any], None]


class ConsoleError(Exception):
    """A console that cannot be attached or written; `code` is stable, `holder` who types already."""

    def __init__(self, sentence: str, code: str, holder: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.holder = holder


class Consoles:
    """Every console known here, by VM; `grown` are those with new bytes since it was last emptied."""

    def __init__(
        self,
        runtime_dir: str,
        cap: int,
        selector: selectors.BaseSelector,
        push: Callable[[dict[str, Any]], None],
    ) -> None:
        self.grown: set[str] = set()
        self._dir = runtime_dir
        self._cap = cap
        self._selector = selector
        self._push = push
        self._consoles: dict[str, Serial] = {}
        self._connecting: dict[str, list[Answer]] = {}
        self._doubtful: dict[str, float] = {}

    def of(self, vm: str) -> Serial:
        """The console of a VM, known from now on."""
        console = self._consoles.get(vm)
        if console is None:
            log = ConsoleLog(f"{self._dir}/{vm}.console.log", self._cap)
            console = self._consoles[vm] = Serial(log)
        return console

    def known(self) -> set[str]:
        """The VMs with a console here."""
        return set(self._consoles)

    def describe(self, vm: str) -> dict[str, Any]:
        """Offsets and state, for `list`."""
        console = self.of(vm)
        attached = console.socket is not None
        return {"attached": attached, "end": console.log.end, "oldest": console.log.oldest}

    def take_up(self, vm: str, path: str) -> None:
        """Reconnect after a restart of the keeper, and mark that something may be missing."""
        console = self.of(vm)
        console.await_socket(path, "lost", RESTARTED, REBIND_SECONDS)
        self._connecting[vm] = []
        self._doubtful[vm] = time.monotonic() + ACCEPT_SECONDS
        self._try(vm)

    def attach(self, vm: str, path: str, kind: str, answer: Answer) -> None:
        """Drain this socket from now on; `answer` once connected or when that is hopeless."""
        console = self.of(vm)
        if console.is_attached_to(path):
            answer(None)
            return
        if console.socket is not None:
            self._close(console)
        waiting = self._connecting.setdefault(vm, [])
        waiting.append(answer)
        console.await_socket(path, kind, "", ATTACH_SECONDS)
        self._try(vm)

    def due(self) -> float | None:
        """Seconds until the next attempt to connect; None when there is none to make."""
        times = [self._consoles[vm].retry_at for vm in self._connecting]
        times += self._doubtful.values()
        return max(0.0, min(times) - time.monotonic()) if times else None

    def retry(self) -> None:
        """Make the attempts that are due."""
        now = time.monotonic()
        for vm in [vm for vm in self._connecting if self._consoles[vm].retry_at <= now]:
            self._try(vm)
        due = [vm for vm, at in self._doubtful.items() if at <= now]
        if due:
            self._check_accepted(due)

    def _check_accepted(self, vms: list[str]) -> None:
        """Say which consoles an earlier keeper's death has ended: their VMM accepts no client any more."""
        waiting = backlog.unaccepted()
        for vm in vms:
            del self._doubtful[vm]
            connected = self._consoles[vm].socket
            if connected is not None and os.fstat(connected.fileno()).st_ino in waiting:
                self._lost(vm, f"{GONE} (the keeper was killed and the hypervisor takes no other)")

    def _lost(self, vm: str, reason: str) -> None:
        self._consoles[vm].log.mark("lost", reason)
        self._push({"detached": {"vm": vm, "reason": reason}})
        self.grown.add(vm)

    def _try(self, vm: str) -> None:
        console = self._consoles[vm]
        try:
            if not console.try_connect():
                return
        except OSError as error:
            self._lost(vm, f"{GONE} ({error.strerror})")
            if error.errno in NOT_THERE_YET and not self._connecting[vm]:
                console.await_socket(console.path, "reboot", "", math.inf)  # a reboot may take long
            else:
                refusal = ConsoleError(f"the serial socket could not be connected: {error}", "no_console")
                self._tell(vm, refusal)
            return
        connected = console.socket
        if connected is not None:
            self._selector.register(connected, selectors.EVENT_READ, vm)
        self._tell(vm, None)
        self.grown.add(vm)

    def _tell(self, vm: str, outcome: Any) -> None:
        for answer in self._connecting.pop(vm, []):
            answer(outcome)

    def ready(self, vm: str, mask: int) -> None:
        """The selector says that its socket can be read or written."""
        console = self._consoles[vm]
        if mask & selectors.EVENT_WRITE:
            self._write(console)
        if mask & selectors.EVENT_READ:
            self.grown.add(vm)
            if not console.read():
                self._close(console)
                console.await_socket(console.path, "reboot", "", REBIND_SECONDS)
                self._connecting.setdefault(vm, [])

    def _close(self, console: Serial, seconds: float = 0.1) -> None:
        if console.socket is not None:
            self._selector.unregister(console.socket)
            console.close(seconds)

    def vmm_ended(self, vm: str, text: str) -> None:
        """The VMM is gone: take its last words, mark its end."""
        console = self.of(vm)
        self._close(console, 0)
        self._tell(vm, ConsoleError(f"the VMM ended before its console was there: {text}", "no_console"))
        self._doubtful.pop(vm, None)
        console.log.mark("exit", text)
        console.log.close()
        self.grown.add(vm)

    def write(self, vm: str, client: object, writer: str, data: bytes, *, takeover: bool) -> str:
        """Claim the input and type; returns the holder's name."""
        console = self.of(vm)
        holder = console.holder
        if holder is not None and holder != (client, writer) and not takeover:
            raise ConsoleError(f"{holder[1]} is typing; take over to type yourself", "held", holder[1])
        if holder != (client, writer):
            console.holder = client, writer
            self._push({"writer": {"vm": vm, "holder": writer}})
        if data and console.socket is None:
            raise ConsoleError("the VM has no console to type into: it is not running", "no_console")
        if len(console.input) + len(data) > MOST_INPUT_BYTES:
            raise ConsoleError("the guest does not read its input; try again later", "input_full")
        console.input += data
        self._write(console)
        return writer

    def _write(self, console: Serial) -> None:
        more = console.write()
        connected: socket.socket | None = console.socket
        if connected is not None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if more else 0)
            key = self._selector.get_key(connected)
            if key.events != wanted:
                self._selector.modify(connected, wanted, key.data)

    def release(self, client: object, vm: str | None = None, writer: str | None = None) -> None:
        """Give back the claims of a client: one of them, or all when it is gone."""
        for name in self._consoles if vm is None else [vm]:
            console = self._consoles.get(name)
            if console is None or console.holder is None or console.holder[0] is not client:
                continue
            if writer is None or console.holder[1] == writer:
                console.holder = None
                self._push({"writer": {"vm": name, "holder": ""}})

    def forget(self, vm: str, *, remove: bool) -> None:
        """Know nothing of a VM any more; `remove` deletes its log."""
        console = self.of(vm)
        self._close(console)
        self._connecting.pop(vm, None)
        self._doubtful.pop(vm, None)
        if remove:
            console.log.remove()
        else:
            console.log.close()
        del self._consoles[vm]
        self.grown.discard(vm)

    def close(self) -> None:
        """Let go of every socket without losing a byte of what was sent."""
        attached = [console for console in self._consoles.values() if console.socket is not None]
        for console in attached:
            console.half_close()
        deadline = time.monotonic() + CLOSE_ALL_SECONDS
        for console in attached:
            console.close(max(0.0, deadline - time.monotonic()))
        for console in self._consoles.values():
            console.log.close()
