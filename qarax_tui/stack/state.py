"""The state directory of `qarax up`: what is where, who may use it, one `up` or `down` at a time.

The layout is in `docs/interfaces.md`. Files here are written whole or not at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qarax_tui.stack.errors import StackError
from qarax_tui.stack.processes import ProcessRecord

MEBIBYTE = 1024 * 1024
NEEDED_MEBIBYTES = 256
LOCK_SECONDS = 300.0
LONGEST_SOCKET = "/postgres/.s.PGSQL.5432"
SOCKET_PATH_LIMIT = 107


def default_path() -> Path:
    """`/var/lib/qarax` as root, else below the user's own state folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/qarax")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "qarax"


@dataclass(frozen=True)
class StateDirectory:
    """Paths below one folder."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def images(self) -> Path:
        return self.path / "images"

    @property
    def runtime(self) -> Path:
        return self.path / "vms"

    @property
    def simulated(self) -> Path:
        return self.path / "simulated"

    @property
    def tls(self) -> Path:
        return self.path / "tls"

    @property
    def keeper_socket(self) -> Path:
        return self.runtime / "keeper.sock"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            StackError: the place is too deep for a socket's path, not writable, or nearly full.
        """
        if len(os.fsencode(self.path)) + len(LONGEST_SOCKET) > SOCKET_PATH_LIMIT:
            raise StackError(
                f"The state directory {self.path} is too deep: a unix socket below it would have a path "
                f"longer than {SOCKET_PATH_LIMIT} bytes. Choose a shorter one with --state-dir."
            )
        # Root's database runs as another account, which passes through; an ordinary user's is private.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        try:
            missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                folder.chmod(mode)
            self._let_pass(mode)
            for folder in (self.logs, self.images, self.runtime, self.path / "run"):
                folder.mkdir(exist_ok=True)
            probe = self.path / ".writable"
            probe.write_bytes(b"qarax")
            probe.unlink()
        except OSError as error:
            raise StackError(
                f"The state directory {self.path} cannot be used: {error.strerror}. "
                "Make it writable, or choose another with --state-dir."
            ) from error
        self._require_room()

    def _let_pass(self, mode: int) -> None:
        """The usual place may be there already, made for a pool and closed to the database's account."""
        found = self.path.stat()
        if self.path == default_path() and found.st_uid == os.geteuid():
            self.path.chmod(found.st_mode | mode)

    def _require_room(self) -> None:
        numbers = os.statvfs(self.path)
        free = numbers.f_bavail * numbers.f_frsize // MEBIBYTE
        if free < NEEDED_MEBIBYTES:
            raise StackError(
                f"Only {free} MiB are free in {self.path}; database, guest image and logs need about "
                f"{NEEDED_MEBIBYTES} MiB. Free some room, or choose another place with --state-dir."
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One `up` or `down` at a time; the second waits for the first."""
        with (self.path / "lock").open("w") as file:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StackError(
                            f"Another qarax is starting or stopping things in {self.path} for more than "
                            f"{LOCK_SECONDS:.0f} s. See its terminal, or its logs in {self.logs}."
                        ) from None
                    time.sleep(0.1)
            yield

    def record(self, name: str) -> ProcessRecord | None:
        """The process of that name when it still runs, else None; a stale file is taken away."""
        file = self._record_file(name)
        try:
            record = ProcessRecord(**json.loads(file.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            record = None
        if record is not None and record.alive:
            return record
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        return None

    def keep(self, record: ProcessRecord) -> None:
        """Write down a process that was started."""
        write_json(self._record_file(record.name), dataclasses.asdict(record))

    def drop(self, name: str) -> None:
        """Forget a process that was stopped."""
        self._record_file(name).unlink(missing_ok=True)

    def _record_file(self, name: str) -> Path:
        return self.path / "run" / f"{name}.json"

    def read_facts(self) -> dict[str, Any]:
        """`control-plane.json`: the URLs and the choice of driver; empty when there is none."""
        try:
            facts = json.loads((self.path / "control-plane.json").read_text())
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Replace `control-plane.json`."""
        write_json(self.path / "control-plane.json", facts)


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Replace `file` at once."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(file)
