"""Which account PostgreSQL runs as when `qarax` is root, and what that account can reach."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qarax_tui.stack.errors import StackError
from qarax_tui.stack.processes import FOR_EVERYBODY

OWN, DISTRIBUTIONS = "qarax", "postgres"


@dataclass(frozen=True)
class Account:
    """A system user by name and numbers."""

    name: str
    uid: int
    gid: int


def database_account(existing_data: Path) -> Account | None:
    """Who runs the database: None (the caller) unless root; then the owner of the data, or a system user.

    Makes the system user `qarax` when there is neither that one nor the distribution's `postgres`.
    """
    if os.geteuid() != 0:
        return None
    if existing_data.exists() and (owner := existing_data.stat().st_uid) != 0:
        return _account(pwd.getpwuid(owner))
    for name in (OWN, DISTRIBUTIONS):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    _make_account()
    return _account(pwd.getpwnam(OWN))


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_account() -> None:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OWN]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=30, umask=FOR_EVERYBODY)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        raise StackError(
            f"PostgreSQL does not run as root, and the system user '{OWN}' could not be made: {detail}. "
            f"Make one with `{' '.join(command)}`, or run qarax as an ordinary user."
        ) from error


def demoted(command: Sequence[str], account: Account | None) -> list[str]:
    """`command` as `account` runs it: same pid, no way back to root."""
    if account is None:
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError("PostgreSQL does not run as root and `setpriv` (package util-linux) is missing.")
    user = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--inh-caps=-all"]
    return [setpriv, *user, "--no-new-privs", "--", *command]


def reachable_by(path: Path, account: Account) -> bool:
    """Whether `account` may enter every folder on the way to `path`, by owner and mode."""
    resolved = path.resolve()
    return all(_may_enter(folder.stat(), account) for folder in (resolved, *resolved.parents))


def _may_enter(folder: os.stat_result, account: Account) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & 0o100)
    if folder.st_gid == account.gid:
        return bool(folder.st_mode & 0o010)
    return bool(folder.st_mode & 0o001)
