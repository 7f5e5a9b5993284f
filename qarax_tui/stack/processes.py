"""Processes that outlive the command that started them, and are never confused with others.

A process is its pid, its start time and the boot it belongs to, so a reused pid is never signalled. Each is
written to `run/<name>.json` of the state directory (`state.py`) and runs in a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qarax_tui.stack.errors import StackError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STATE_FIELD, START_TIME_FIELD = 0, 19  # of /proc/<pid>/stat, counted after the command's closing bracket
POLL_SECONDS = 0.05
FOR_EVERYBODY = 0o022  # the umask of what is no secret: packages, accounts, the guest's own files

# Those this very process started: their exit status is ours to collect.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessRecord:
    """A process we started. `start_time` is in clock ticks since boot, as `/proc/<pid>/stat` counts."""

    name: str
    pid: int
    start_time: int
    boot_id: str
    command: Sequence[str]
    log: str
    port: int | None = None

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs; a zombie does not."""
        return boot_id() == self.boot_id and start_time(self.pid) == self.start_time


def boot_id() -> str:
    """The kernel's id of this boot; `QARAX_BOOT_ID` overrides it, for rehearsing a reboot."""
    return os.environ.get("QARAX_BOOT_ID") or BOOT_ID.read_text().strip()


def identified(name: str, pid: int, *, log: Path, port: int | None = None) -> ProcessRecord | None:
    """A record of a process that already runs, found by other means than our own file."""
    started = start_time(pid)
    if started is None:
        return None
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return ProcessRecord(name, pid, started, boot_id(), command[:-1], str(log), port)


def start_time(pid: int) -> int | None:
    """When the process started, in ticks since boot; None when there is none, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[STATE_FIELD] in "ZX" else int(fields[START_TIME_FIELD])


def start_detached(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> ProcessRecord:
    """Start `command` in its own session, output appended to `log`, input from nowhere."""
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
    except OSError as error:
        raise StackError(f"Could not start {name}: {error}. Its log would be {log}.") from error
    _children[child.pid] = child
    started = start_time(child.pid)
    return ProcessRecord(name, child.pid, started or 0, boot_id(), list(command), str(log), port)


def stop(record: ProcessRecord, *, signals: Sequence[tuple[int, float]] | None = None) -> bool:
    """Send each signal in turn and give it its seconds; True once the process is gone."""
    steps = signals or ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
    with _pidfd(record) as descriptor:
        if descriptor is None:
            return True
        for number, seconds in steps:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if _ended(descriptor, seconds):
                _reap(record.pid)
                return True
    return False


@contextlib.contextmanager
def _pidfd(record: ProcessRecord) -> Iterator[int | None]:
    """A handle on exactly this process, or None when it is gone."""
    try:
        descriptor = os.pidfd_open(record.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor if record.alive else None
    finally:
        os.close(descriptor)


def _ended(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _reap(pid: int) -> None:
    if child := _children.pop(pid, None):
        child.wait()


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, indented, for an error message."""
    try:
        content = log.read_bytes()[-8192:].decode(errors="replace")
    except OSError as error:
        return f"    ({error})"
    return "\n".join(f"    {line}" for line in content.splitlines()[-lines:]) or "    (empty)"


def wait_until(ready: Callable[[], bool], *, seconds: float, record: ProcessRecord) -> None:
    """Ask `ready` until it is true; `StackError` with the log's end when the process dies or time is up."""
    deadline = time.monotonic() + seconds
    with _pidfd(record) as descriptor:
        while not ready():
            if descriptor is None or _ended(descriptor, POLL_SECONDS):
                raise StackError(_with_log(f"{record.name} ended while starting", record))
            if time.monotonic() > deadline:
                raise StackError(_with_log(f"{record.name} was not ready after {seconds:.0f} s", record))


def _with_log(sentence: str, record: ProcessRecord) -> str:
    return f"{sentence}. The last lines of {record.log}:\n{tail(Path(record.log))}"
