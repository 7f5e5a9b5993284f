"""Whether a TCP port is free, and who has it when it is not."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from qarax_tui.stack.errors import StackError

LISTENING = "0A"


def require_free(port: int, *, purpose: str, option: str) -> None:
    """Raise `StackError` that names the port, who holds it and the option that chooses another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"is taken by {holder(port) or 'another program'}"
            else:
                reason = f"cannot be used: {error.strerror}"
            raise StackError(
                f"Port {port}, wanted for {purpose}, {reason}. "
                f"Stop that program, or choose another port with {option}."
            ) from None


def answers(port: int) -> bool:
    """Whether somebody accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def holder(port: int) -> str:
    """`name (pid N)` of the process that listens on the port; empty when it cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and inodes & _open_sockets(folder):
            with contextlib.suppress(OSError):
                return f"{(folder / 'comm').read_text().strip()} (pid {folder.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    found.add(columns[9])
    return found


def _open_sockets(process: Path) -> set[str]:
    targets = set()
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                targets.add(os.readlink(descriptor))  # noqa: PTH115 - the text, which is no path
    return targets
