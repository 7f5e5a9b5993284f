"""What is mounted where, as /proc/self/mountinfo has it (proc_pid_mountinfo(5)).

Reading it asks no file system, so it answers while a network file system does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qarax_node.errors import NodeError

MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mount: `source` is `server:/export` of NFS, a device, or a name."""

    point: str
    kind: str
    source: str


def mounts(table: str) -> list[Mount]:
    """Read a mountinfo; later mounts lie over earlier ones at the same point."""
    found = []
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        kind, source, *_ = after.split(" ")
        found.append(Mount(_plain(before.split(" ")[4]), kind, _plain(source)))
    return found


def check_mounted(path: str, source: str, mountinfo: Path = MOUNTINFO) -> None:
    """Refuse a path where nothing is mounted, or, where a source is declared, something else."""
    table = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    here = [mount for mount in mounts(table) if mount.point == path]
    if not here:
        raise NodeError(
            f"nothing is mounted at {path}: mount {source or 'the export'} there on this host, and have it "
            "in /etc/fstab",
            code="nfs_not_mounted",
            field="config",
        )
    if source and here[-1].source.rstrip("/") != source.rstrip("/"):
        raise NodeError(
            f"{path} is mounted from {here[-1].source}, not from {source}", code="nfs_source", field="config"
        )


def _plain(text: str) -> str:
    """Undo the kernel's escapes of space, tab, newline and backslash."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
