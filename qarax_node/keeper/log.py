"""One VM's console log: raw bytes appended to a file, offsets that never restart, an index beside it.

The guest never waits for the disk: bytes that cannot be written are dropped, counted, and marked as a gap
once writing works again. The file may be renamed, truncated or deleted by others at any time; it is
looked at before each append. At the cap it becomes `.1`, and what was `.1` is gone.
"""

from __future__ import annotations

import os
import time

from qarax_node.keeper import index

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
TIME_MARK_SECONDS = 1.0
MOST_PENDING = 64
MOST_LINES = 5000
INDEX_CAP_BYTES = 1 << 20


class ConsoleLog:
    """The log at `path`; `base` is the offset of the file's first byte, `end` of the next one written."""

    __slots__ = (
        "_cap",
        "_dropped",
        "_fd",
        "_inode",
        "_marked",
        "_pending",
        "_why",
        "base",
        "end",
        "oldest",
        "path",
    )

    def __init__(self, path: str, cap: int) -> None:
        self.path = path
        self._cap = cap
        self._fd = -1
        self._inode = 0
        self._pending: tuple[index.Line, ...] = ()
        self._dropped = 0
        self._why = ""
        self._marked = 0.0
        lines = index.read(self._index)
        known = max((line["offset"] for line in lines), default=0)
        self.base, self.end = known, known
        self.oldest = self._load(lines, known)

    @property
    def _index(self) -> str:
        return self.path.removesuffix(".log") + ".index"

    def _load(self, lines: list[index.Line], known: int) -> int:
        found = _stat(self.path)
        if found is not None:
            base = index.base_of(lines, found.st_ino)
            self.base = known if base is None else base
            self.end = self.base + found.st_size
            if base is not None:
                self._inode = found.st_ino
        older = _stat(self.path + ".1")
        base = None if older is None else index.base_of(lines, older.st_ino)
        return self.base if base is None else base

    def append(self, data: memoryview | bytes) -> None:
        """Add bytes; never raises for the disk's sake."""
        now = time.monotonic()
        try:
            self._ready()
            if now - self._marked >= TIME_MARK_SECONDS and not self._dropped:
                self._marked = now
                self._note("time", "")
            written = os.write(self._fd, data)
        except OSError as error:
            written, self._why = 0, error.strerror or "write failed"
        if written and self._dropped:
            self._end_gap()
        self.end += written
        if written < len(data):
            self._dropped += len(data) - written
            self._why = self._why or "No space left on device"
        self.flush()

    def mark(self, kind: str, text: str) -> None:
        """Note something at the present end."""
        try:
            self._ready()
        except OSError as error:
            self._why = error.strerror or "open failed"
        self._note(kind, text)
        self.flush()

    def flush(self) -> None:
        """Write the noted lines, if any; those that the disk refuses are kept for the next time."""
        if not self._pending:
            return
        try:
            index.append(self._index, list(self._pending))
        except OSError as error:
            self._why = error.strerror or "write failed"
            return
        self._pending = ()
        size = _stat(self._index)
        if size is not None and size.st_size > INDEX_CAP_BYTES:
            self._compact()

    def close(self) -> None:
        """Let the file go; the next append opens it again."""
        if self._dropped:
            self._end_gap()
            self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Delete log, older log and index."""
        self._dropped = 0
        self.close()
        for path in (self.path, self.path + ".1", self.path + ".new", self._index, self._index + ".new"):
            if os.path.lexists(path):
                os.unlink(path)  # noqa: PTH108  as in index.py

    def _note(self, kind: str, text: str, **more: int) -> None:
        line = {"offset": self.end, "time": round(time.time(), 3), "kind": kind, **more}
        if text:
            line["text"] = text[:500]
        if len(self._pending) < MOST_PENDING or kind == "gap":
            self._pending += (line,)

    def _end_gap(self) -> None:
        last = self._pending[-1] if len(self._pending) >= MOST_PENDING else None
        if last is not None and last["kind"] == "gap":
            last["bytes"] += self._dropped
        else:
            self._note("gap", f"{self._dropped} bytes were not written: {self._why}", bytes=self._dropped)
        self._dropped, self._why = 0, ""

    def _ready(self) -> None:
        """Have the right file open and with room; raises OSError when the disk refuses."""
        found = _stat(self.path)
        if self._fd < 0 or found is None or found.st_ino != self._inode:
            self._open(found)
        elif found.st_size != self.end - self.base:
            self._resized(found.st_size)
        if self.end - self.base >= self._cap:
            self._rotate()

    def _open(self, found: os.stat_result | None) -> None:
        if found is not None and found.st_ino == self._inode:
            self._fd = os.open(self.path, FLAGS, 0o600)
            self._resized(found.st_size)
            return
        descriptor = os.open(self.path, FLAGS, 0o600)
        opened = os.fstat(descriptor)
        line = {"offset": self.end, "time": round(time.time(), 3), "kind": "file", "inode": opened.st_ino}
        try:
            index.append(self._index, [line])
        except OSError:
            os.close(descriptor)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        if self._inode:
            self._note("lost", "the log was renamed or deleted; earlier output is no longer here")
        self._fd, self._inode = descriptor, opened.st_ino
        self.base = self.oldest = self.end
        self.end += opened.st_size

    def _resized(self, size: int) -> None:
        """Somebody else changed the file: bytes added are counted, bytes cut away are lost."""
        expected = self.end - self.base
        if size > expected:
            self._note("lost", f"{size - expected} bytes were appended by somebody else")
            self.end = self.base + size
        elif size < expected:
            self._note("lost", f"the log was truncated by {expected - size} bytes")
            self._rotate()

    def _rotate(self) -> None:
        fresh = os.open(self.path + ".new", FLAGS | os.O_TRUNC, 0o600)
        try:
            inode = os.fstat(fresh).st_ino
            line = {"offset": self.end, "time": round(time.time(), 3), "kind": "file", "inode": inode}
            index.append(self._index, [line])
            os.replace(self.path, self.path + ".1")  # noqa: PTH105  as in index.py
            os.replace(self.path + ".new", self.path)  # noqa: PTH105  as in index.py
        except OSError:
            os.close(fresh)
            raise
        os.close(self._fd)
        self._fd, self._inode = fresh, inode
        self.oldest, self.base = self.base, self.end
        self._compact()

    def _compact(self) -> None:
        try:
            index.rewrite(self._index, index.compact(index.read(self._index), self.oldest, MOST_LINES))
        except OSError as error:
            self._why = error.strerror or "write failed"


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=False)  # noqa: PTH116  as in index.py
    except FileNotFoundError:
        return None
