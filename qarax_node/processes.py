"""Processes named so that a reused pid is never taken for another: pid, start time, boot id.

Every signal goes through a pidfd whose process was compared with the recorded one first. Linux only (5.3).
The keeper has its own few lines of the same: it imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Process:
    """The VMM of a VM, named so that a reused pid is never taken for it."""

    pid: int
    start_time: int
    boot_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "boot_id", sys.intern(self.boot_id))  # one for a thousand of them


@dataclass(frozen=True)
class Exit:
    """How the keeper saw a VMM end: a wait status, or None when nobody saw it."""

    pid: int
    status: int | None
    time: float


def boot_id() -> str:
    """The kernel's boot id; `QARAX_BOOT_ID` overrides it, for rehearsing a host reboot."""
    return os.environ.get("QARAX_BOOT_ID") or Path(BOOT_ID_FILE).read_text(encoding="ascii").strip()


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which `pid` started (proc(5), field 22); None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  pathlib would intern each pid
            stat = file.read()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def identify(pid: int) -> Process | None:
    """The process that has this pid now, or None."""
    started = start_time(pid)
    return None if started is None else Process(pid, started, boot_id())


def is_alive(process: Process) -> bool:
    """Whether this very process still runs; a zombie does not."""
    return process.boot_id == boot_id() and start_time(process.pid) == process.start_time


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0")[:-1]]


def open_pidfd(process: Process) -> int | None:
    """A descriptor of this very process (the caller closes it), or None when it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if is_alive(process):
        return descriptor
    os.close(descriptor)
    return None


def send_signal(process: Process, number: signal.Signals) -> bool:
    """Signal this very process; False when it is gone already."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


async def wait_gone(process: Process, timeout: float | None = None) -> bool:  # noqa: ASYNC109  the answer is a bool
    """Wait until the process has ended; False when `timeout` seconds passed first."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return True
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), timeout)
    except TimeoutError:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True


class Deaths(Generic[T]):
    """Tells of processes' ends: one epoll for all of their pidfds, in the running loop, made with the first.

    `told` is called with what the process was watched for.
    """

    def __init__(self, told: Callable[[T], None]) -> None:
        self._told = told
        self._epoll: select.epoll | None = None
        self._watched: dict[int, T] = {}

    def watch(self, process: Process, whose: T) -> bool:
        """Tell once it has ended; False when it has already."""
        descriptor = open_pidfd(process)
        if descriptor is None:
            return False
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll, self._ready, self._epoll)
        self._epoll.register(descriptor, select.EPOLLIN)
        self._watched[descriptor] = whose
        return True

    def _ready(self, epoll: select.epoll) -> None:
        for descriptor, _ in epoll.poll(0):
            epoll.unregister(descriptor)
            os.close(descriptor)
            self._told(self._watched.pop(descriptor))

    def close(self) -> None:
        """Watch nothing any more."""
        for descriptor in self._watched:
            os.close(descriptor)
        self._watched.clear()
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll)
            self._epoll.close()
            self._epoll = None


def usage(pid: int) -> dict[str, int]:
    """What a process uses: `resident_bytes`, `cpu_milliseconds`; empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return {}
    fields = stat[stat.rindex(b")") + 2 :].split()
    ticks = int(fields[11]) + int(fields[12])
    return {
        "resident_bytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        "cpu_milliseconds": ticks * 1000 // os.sysconf("SC_CLK_TCK"),
    }
