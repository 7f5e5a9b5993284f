"""One VM's QMP monitor: commands with a deadline, events to one listener. Knows no policy.

QEMU serves one client at a time; the connection is made when first needed and again after it was lost.
At most one command is under way, with or without somebody who still waits for it: a QEMU that hangs collects
none, later callers time out on their own, and `on_awake` tells when it answers after all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from qemu.qmp import ExecuteError, QMPClient, QMPError, Runstate

from qarax_node.drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SOCKET = "qmp.sock"
ANSWER_SECONDS = 5.0
# What goes wrong is raised; the library would print it a second time.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)


class Monitor:
    """The monitor of the QEMU whose working directory is `directory`.

    `on_event` is called in the loop with each QMP event: `event`, `timestamp` and perhaps `data`; `on_awake`
    when a command was answered that nobody waited for any more.
    """

    def __init__(
        self,
        directory: Path,
        on_event: Callable[[Mapping[str, Any]], None],
        on_awake: Callable[[], None],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._directory = directory
        self._on_event = on_event
        self._on_awake = on_awake
        self._answer_seconds = answer_seconds
        self._client: QMPClient | None = None
        self._follower: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._under_way: asyncio.Task[Any] | None = None

    async def execute(self, command: str, seconds: float | None = None) -> Any:
        """Connect when needed, run one command and return its answer.

        Raises DriverError: `state` when QEMU refuses, `timeout` when it does not answer in `seconds` (what
        was asked may still happen), `unavailable` when it is gone.
        """
        seconds = self._answer_seconds if seconds is None else seconds
        running = asyncio.create_task(self._execute(command))
        running.add_done_callback(_take_outcome)
        done, _ = await asyncio.wait({running}, timeout=seconds)
        if done:
            return running.result()
        if running is self._under_way:
            running.add_done_callback(self._answered_late)
        else:
            running.cancel()
        raise DriverError(
            f"QEMU did not answer {command} within {seconds:g} s: it hangs or the host is overloaded; "
            "a hard stop ends it",
            code="vmm_timeout",
            kind="timeout",
        )

    async def close(self) -> None:
        """Disconnect; QEMU goes on."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait({self._under_way})
        await self._disconnect()

    async def _disconnect(self) -> None:
        follower, self._follower = self._follower, None
        if follower is None:
            return
        if self._client is not None and self._client.runstate is Runstate.RUNNING:
            follower.cancel()
        await asyncio.wait({follower})

    def _answered_late(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._on_awake()

    async def _execute(self, command: str) -> Any:
        async with self._turn:
            self._under_way = asyncio.current_task()
            try:
                client = await self._connected()
                return await client.execute(command)
            except ExecuteError as error:
                raise DriverError(
                    f"QEMU refused {command}: {error}", code="vmm_refused", kind="state"
                ) from error
            except (QMPError, OSError) as error:
                raise DriverError(
                    f"QEMU is not there: {error}", code="vmm_gone", kind="unavailable"
                ) from error
            finally:
                self._under_way = None

    async def _connected(self) -> QMPClient:
        if self._client is not None and self._client.runstate is Runstate.RUNNING:
            return self._client
        await self._disconnect()
        client = QMPClient()
        # A filter sees every event; those that it refuses are not kept, which the library does without end.
        client.events.event_filter = self._hear
        await client.connect(_connect(self._directory))
        self._client = client
        self._follower = asyncio.create_task(_follow(client), name="qmp")
        return client

    def _hear(self, event: Mapping[str, Any]) -> bool:
        self._on_event(event)
        return False


async def _follow(client: QMPClient) -> None:
    """Tidy up after the connection ended, or end it when cancelled; nobody else disconnects."""
    try:
        await client.runstate_changed()
    finally:
        with contextlib.suppress(EOFError, OSError, QMPError):  # why it ended: QEMU's exit says more
            await client.disconnect()


def _connect(directory: Path) -> socket.socket:
    """Through the directory's descriptor: the whole path may exceed the 107 bytes of sun_path.

    A connect on a unix socket is done at once or not at all (BlockingIOError: too many wait already).
    """
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    descriptor = -1
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connecting.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
    except OSError:
        connecting.close()
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return connecting


def _take_outcome(task: asyncio.Task[Any]) -> None:
    """Whoever asked may have stopped waiting; then nobody else looks at how it went."""
    if not task.cancelled():
        task.exception()
