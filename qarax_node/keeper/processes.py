"""Spawning VMMs and knowing how they ended.

A child waits for its record to be on disk before it executes, so no VMM runs that a later keeper would not
know. Exits are on disk, synced, before anyone is told. VMMs of an earlier keeper are watched by pidfd: only a
parent learns an exit status, so theirs is None.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import sys
import time
from typing import Any

EXITS_CAP_BYTES = 1 << 20
EXITS_KEPT = 2000
EXEC_FAILED = 127
Record = dict[str, Any]


def boot_id() -> str:
    """The kernel's boot id; `QARAX_BOOT_ID` overrides it."""
    given = os.environ.get("QARAX_BOOT_ID")
    if given:
        return given
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123  pathlib costs memory
        return file.read().strip()


def start_time(pid: int) -> int | None:
    """Clock ticks after boot (proc(5), field 22); None for what is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  as above
            stat = file.read()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def spawn(argv: list[str], cwd: str, log: str, fds: list[int]) -> tuple[int, int, int]:
    """Fork; returns the pid, the pipe that lets it execute, and the pipe that tells of a failure or ends."""
    go_read, go_write = os.pipe2(os.O_CLOEXEC)
    told_read, told_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError:
        for descriptor in (go_read, go_write, told_read, told_write):
            os.close(descriptor)
        raise
    if pid == 0:
        os.close(go_write)
        _become(argv, cwd, log, fds, (go_read, told_write))
    os.close(go_read)
    os.close(told_write)
    return pid, go_write, told_read


def _become(argv: list[str], cwd: str, log: str, fds: list[int], pipes: tuple[int, int]) -> None:
    """In the child: never returns."""
    go, told = pipes
    try:
        if os.read(go, 1) == b"":
            os._exit(EXEC_FAILED)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.umask(0o077)
        os.chdir(cwd)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        told = _arrange([os.open(os.devnull, os.O_RDONLY), output, output, *fds], told)
        os.execvp(argv[0], argv)  # noqa: S606  the point: no shell
    except BaseException as error:  # noqa: BLE001  the child has no one else to tell
        os.write(told, str(getattr(error, "strerror", None) or error).encode()[:500])
    finally:
        os._exit(EXEC_FAILED)


def _arrange(wanted: list[int], told: int) -> int:
    """Make the given descriptors 0, 1, 2, 3, … and close every other; returns where `told` went."""
    count = len(wanted)
    told = fcntl.fcntl(told, fcntl.F_DUPFD_CLOEXEC, count)
    lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD, count) for fd in wanted]
    for place, fd in enumerate(lifted):
        os.dup2(fd, place)
    os.closerange(count, told)
    os.closerange(told + 1, 1 << 20)
    return told


class Vmm:
    """A VMM that runs; `socket` is the path of its serial socket, "" until it is attached."""

    __slots__ = ("boot_id", "pid", "socket", "start_time", "vm")

    def __init__(self, vm: str, pid: int, start_time: int | None, boot_id: str, socket: str = "") -> None:
        self.vm = sys.intern(vm)
        self.pid = pid
        self.start_time = start_time
        self.boot_id = sys.intern(boot_id)
        self.socket = socket

    @property
    def identity(self) -> Record:
        """What tells it from a process with the same pid."""
        return {"pid": self.pid, "start_time": self.start_time, "boot_id": self.boot_id}


class Records:
    """What survives the keeper: a record per running VMM, and the exits."""

    def __init__(self, runtime_dir: str) -> None:
        self._exits = f"{runtime_dir}/keeper/exits.jsonl"
        self._processes = f"{runtime_dir}/keeper/processes"
        os.makedirs(self._processes, mode=0o700, exist_ok=True)  # noqa: PTH103  pathlib costs memory
        self._unsaved: list[Record] = []
        self.sequence = max((line["sequence"] for line in self.exits(0)), default=0)

    def save(self, vmm: Vmm) -> None:
        """Write a VMM's record atomically; no sync: a host that goes down takes the VMM along."""
        path = f"{self._processes}/{vmm.vm}.json"
        with open(path + ".new", "w", encoding="utf-8") as file:  # noqa: PTH123  as above
            file.write(json.dumps({"vm": vmm.vm, **vmm.identity}) + "\n")
        os.replace(path + ".new", path)  # noqa: PTH105  as above

    def add(self, vm: str, more: Record) -> None:
        """Add to a VMM's record, by a line: replacing the file would wait for the disk."""
        with open(f"{self._processes}/{vm}.json", "a", encoding="utf-8") as file:  # noqa: PTH123  as above
            file.write(json.dumps(more) + "\n")

    def drop(self, vm: str) -> None:
        """Remove the record of a VMM that is gone, or never ran."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._processes}/{vm}.json")  # noqa: PTH108  as above

    def load(self) -> list[Vmm]:
        """The VMMs that an earlier keeper left."""
        records = []
        for entry in os.scandir(self._processes):
            if entry.name.endswith(".json"):
                record: Record = {}
                for line in _lines(entry.path):
                    record.update(line)
                records.append(record)
        return [
            Vmm(found["vm"], found["pid"], found["start_time"], found["boot_id"], found.get("socket", ""))
            for found in records
            if "pid" in found
        ]

    def ended(self, ends: list[tuple[str, int, int | None]]) -> list[Record]:
        """Record exits as (vm, pid, status), one sync for all of them, and return them with their numbers."""
        made = []
        for vm, pid, status in ends:
            self.sequence += 1
            made.append(
                {"sequence": self.sequence, "vm": vm, "pid": pid, "status": status, "time": time.time()}
            )
        self._unsaved += made
        try:
            self._write()
            for vm, _, _ in ends:
                self.drop(vm)
        except OSError as error:
            print(f"keeper: exits are not on disk yet: {error}", flush=True)  # noqa: T201  its log
        return made

    def exits(self, after: int) -> list[Record]:
        """Those with a larger sequence, oldest first."""
        return [record for record in _lines(self._exits) + self._unsaved if record["sequence"] > after]

    def _write(self) -> None:
        data = "".join(json.dumps(record) + "\n" for record in self._unsaved).encode()
        descriptor = os.open(self._exits, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data  # a line that a crash of the host cut
            if os.write(descriptor, data) != len(data):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._unsaved.clear()
        if size > EXITS_CAP_BYTES:
            self._shorten()

    def _shorten(self) -> None:
        kept = self.exits(0)[-EXITS_KEPT:]
        with open(self._exits + ".new", "w", encoding="utf-8") as file:  # noqa: PTH123  as above
            file.writelines(json.dumps(record) + "\n" for record in kept)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._exits + ".new", self._exits)  # noqa: PTH105  as above


def _lines(path: str) -> list[Record]:
    """The whole JSON lines of a file; one that a crash cut is skipped."""
    found = []
    try:
        with open(path, "rb") as file:  # noqa: PTH123  as above
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found
