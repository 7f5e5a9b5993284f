"""The keeper's loop: one selector for its clients, its children and every serial socket.

Requests are a table from word to method; the wire is in docs/interfaces.md. Nothing here waits: what takes
time (an exec, a serial socket that is not there yet) is answered when it has happened.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import selectors
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from qarax_node.keeper.clients import Client
from qarax_node.keeper.consoles import ConsoleError, Consoles
from qarax_node.keeper.vms import RefusedError, Vms

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
PUSH_SECONDS = 0.02
MOST_EXITS = 5000
VM_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


class Keeper:
    """Serves `listener` until a signal says to stop; leaves every VMM as it is."""

    def __init__(self, runtime_dir: str, listener: socket.socket, cap: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._started_at = time.time()
        self._push_at = 0.0
        self._stopping = False
        self._listener = listener
        self._consoles = Consoles(runtime_dir, cap, self._selector, self._push)
        self._vms = Vms(runtime_dir, self._consoles, self._selector, self._push)
        self._table: dict[str, Callable[[Client, dict[str, Any]], Any]] = {
            "hello": lambda _client, _fields: {
                "version": VERSION,
                "pid": os.getpid(),
                "started_at": self._started_at,
            },
            "list": lambda _client, _fields: self._vms.describe(),
            "exits": lambda _client, fields: self._vms.records.exits(int(fields["after"]))[-MOST_EXITS:],
            "subscribe": self._subscribe,
            "input": self._input,
            "release": lambda client, fields: self._consoles.release(
                client, _vm(fields), str(fields["writer"])
            ),
            "hint": self._hint,
            "forget": self._forget,
        }

    def run(self) -> None:
        """The loop; returns after SIGTERM or SIGINT."""
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, lambda _: self._signalled(wake.recv(4096)))
        self._selector.register(self._listener, selectors.EVENT_READ, lambda _: self._accept())
        self._vms.take_up()
        while not self._stopping:
            for key, mask in self._selector.select(self._timeout()):
                if self._selector.get_map().get(key.fd) is key:
                    self._ready(key.data, mask)
            self._consoles.retry()
            self._push_grown()
        self._consoles.close()

    def _ready(self, whose: str | Callable[[int], None], mask: int) -> None:
        """What to call, or the VM of a console: of those there are a thousand."""
        if isinstance(whose, str):
            self._consoles.ready(whose, mask)
        else:
            whose(mask)

    def _timeout(self) -> float | None:
        waits = [self._consoles.due()]
        if self._consoles.grown:
            waits.append(max(0.0, self._push_at - time.monotonic()))
        return min((wait for wait in waits if wait is not None), default=None)

    def _signalled(self, numbers: bytes) -> None:
        self._stopping = self._stopping or bool({signal.SIGTERM, signal.SIGINT} & set(numbers))
        if signal.SIGCHLD in numbers:
            self._vms.reap()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        client = Client(connection)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, lambda mask: self._serve(client, mask))

    def _serve(self, client: Client, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                client.flush()
                self._watch(client)
            if mask & selectors.EVENT_READ:
                for frame in client.receive():
                    self._handle(client, frame)
        except OSError:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.close()
            self._consoles.release(client)

    def _watch(self, client: Client) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.pending else 0)
        key = self._selector.get_key(client.socket)
        if key.events != wanted:
            self._selector.modify(client.socket, wanted, key.data)

    def _send(self, client: Client, message: dict[str, Any]) -> None:
        if client not in self._clients:
            return
        try:
            client.send(message)
            self._watch(client)
        except OSError:
            self._drop(client)

    def _push(self, message: dict[str, Any]) -> None:
        for client in list(self._clients):
            if client.subscribed:
                self._send(client, message)

    def _push_grown(self) -> None:
        """Tell of new ends, a frame for all of them, at most every 20 ms."""
        grown = self._consoles.grown
        if grown and time.monotonic() >= self._push_at:
            self._push_at = time.monotonic() + PUSH_SECONDS
            self._push({"console": {vm: self._consoles.of(vm).log.end for vm in grown}})
            grown.clear()

    def _handle(self, client: Client, frame: dict[str, Any]) -> None:
        number = frame.get("id")

        def answer(outcome: Any) -> None:
            if isinstance(outcome, RefusedError | ConsoleError):
                refusal = {"id": number, "error": str(outcome), "code": outcome.code}
                self._send(client, {**refusal, "holder": getattr(outcome, "holder", "")})
            else:
                self._send(client, {"id": number, "ok": outcome})

        try:
            self._do(client, frame, answer)
        except (RefusedError, ConsoleError) as refusal:
            answer(refusal)
        except OSError as error:
            answer(RefusedError(f"the keeper failed: {error}", "io"))
        except (KeyError, TypeError, ValueError) as error:
            answer(RefusedError(f"a malformed request: {error!r}", "bad_request"))

    def _do(self, client: Client, frame: dict[str, Any], answer: Callable[[Any], None]) -> None:
        do = frame.get("do")
        if do == "spawn":
            self._spawn(client, frame, answer)
        elif do == "attach":
            self._vms.attach(_vm(frame), _path(frame, "socket"), str(frame["kind"]), answer)
        elif do in self._table:
            answer(self._table[do](client, frame))
        else:
            raise RefusedError(f"the keeper cannot {str(do)[:40]!r}", "unknown_request")

    def _spawn(self, client: Client, frame: dict[str, Any], answer: Callable[[Any], None]) -> None:
        fds = client.take_fds(int(frame.get("fds", 0)))
        try:
            argv = frame["argv"]
            if not argv or not all(isinstance(part, str) and "\0" not in part for part in argv):
                raise ValueError("argv must be a list of strings")
            fields = {"argv": argv, "cwd": _path(frame, "cwd"), "log": _path(frame, "log")}
            self._vms.spawn(_vm(frame), fields, fds, answer)
        finally:
            for descriptor in fds:
                os.close(descriptor)

    def _subscribe(self, client: Client, _fields: dict[str, Any]) -> None:
        client.subscribed = True

    def _input(self, client: Client, fields: dict[str, Any]) -> dict[str, str]:
        try:
            data = base64.b64decode(fields["data"], validate=True)
        except binascii.Error as error:
            raise ValueError("data must be base64") from error
        takeover = fields.get("takeover") is True
        return {
            "holder": self._consoles.write(
                _vm(fields), client, str(fields["writer"]), data, takeover=takeover
            )
        }

    def _hint(self, _client: Client, fields: dict[str, Any]) -> None:
        vm = _vm(fields)
        self._consoles.of(vm).log.mark(str(fields["kind"]), str(fields["text"]))
        self._consoles.grown.add(vm)

    def _forget(self, _client: Client, fields: dict[str, Any]) -> None:
        vm = _vm(fields)
        if vm in self._vms.running:
            raise RefusedError(f"VM {vm} still has a VMM, pid {self._vms.running[vm].pid}", "running")
        self._consoles.forget(vm, remove=fields.get("remove") is True)


def _vm(fields: dict[str, Any]) -> str:
    vm = fields["vm"]
    if not isinstance(vm, str) or not VM_NAME.fullmatch(vm):
        raise ValueError("vm must be a UUID")
    return sys.intern(vm)


def _path(fields: dict[str, Any], name: str) -> str:
    path = fields[name]
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise ValueError(f"{name} must be an absolute path")
    return path
