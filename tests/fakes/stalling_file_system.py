"""A FUSE file system that shows a directory: `python stalling_file_system.py DIRECTORY MOUNTPOINT`.

Stopped with SIGSTOP it answers nobody, as a network file system whose server is gone; SIGCONT heals it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import mfusepy

ATTRIBUTES = ("st_atime", "st_ctime", "st_mtime", "st_gid", "st_mode", "st_nlink", "st_size", "st_uid")
ROOM = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_frsize")


class Shown(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """Reads and writes of `directory`'s own files."""

    use_ns = True

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        del fh
        found = os.lstat(self._directory + path)
        shown = {name: getattr(found, name) for name in ATTRIBUTES}
        return {**shown, **{name: getattr(found, f"{name}_ns") for name in ATTRIBUTES[:3]}}

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        del fh
        yield from (".", "..", *os.listdir(self._directory + path))  # noqa: PTH208  names alone

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._directory + path)
        return {name: getattr(found, name) for name in ROOM}

    def open(self, path: str, flags: int) -> int:
        return os.open(self._directory + path, flags)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        del path
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> int:
        del path
        os.close(fh)
        return 0


if __name__ == "__main__":
    # Nothing is cached, so that every look at it needs an answer.
    mfusepy.FUSE(
        Shown(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True, attr_timeout=0, entry_timeout=0
    )
