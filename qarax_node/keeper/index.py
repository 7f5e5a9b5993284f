"""The index beside a console log: JSON lines that say what the byte-exact log cannot.

Each line has `offset` (bytes since the VM was created), `time` (Unix seconds) and `kind`: `file` (the log
file with this `inode` begins at this offset; the last line of an inode counts), `boot`, `reboot`, `exit`,
`time`, `gap` (with `bytes`, which no offset counts), `lost`. A line that does not parse was cut by a crash or
a full disk and is skipped. Written by the keeper alone (`log.py`), read by the node too.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Any

Line = dict[str, Any]


def read(path: str, start: int = 0, end: int | None = None) -> list[Line]:
    """Every whole line between two places of the file, oldest first; none when there is no index."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib costs the keeper memory
            file.seek(start)
            return parse(file.read(None if end is None else end - start))
    except FileNotFoundError:
        return []


def parse(data: bytes) -> list[Line]:
    """The lines of a stretch of the index that are whole."""
    lines = []
    for raw in data.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("offset"), int) and "kind" in line:
            lines.append(line)
    return lines


def append(path: str, lines: list[Line]) -> None:
    """Add lines; a torn line left by an earlier crash is closed first. Raises OSError, nothing added."""
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(descriptor, data) != len(data):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def rewrite(path: str, lines: list[Line]) -> None:
    """Replace the whole index atomically."""
    with open(path + ".new", "w", encoding="utf-8") as file:  # noqa: PTH123  as above
        file.writelines(json.dumps(line) + "\n" for line in lines)
    os.replace(path + ".new", path)  # noqa: PTH105  as above


def base_of(lines: list[Line], inode: int) -> int | None:
    """The offset of the first byte of the log file with this inode."""
    for line in reversed(lines):
        if line["kind"] == "file" and line.get("inode") == inode:
            return int(line["offset"])
    return None


def compact(lines: list[Line], oldest: int, most: int) -> list[Line]:
    """Drop what lies before `oldest`, then every other time mark until at most `most` lines are left."""
    files = [line for line in lines if line["kind"] == "file"][-4:]
    kept = [line for line in lines if line["offset"] >= oldest and line["kind"] != "file"]
    while len(kept) > most:
        times = [line for line in kept if line["kind"] == "time"]
        dropped = {id(line) for line in times[::2]}
        kept = [line for line in kept if id(line) not in dropped] if dropped else kept[-most:]
    return sorted(files + kept, key=lambda line: line["offset"])
