"""Files that a VMM writes at its own offset, kept small: their oldest blocks are freed, their offsets stay.

Cloud Hypervisor opens its event and log files once and for all, so neither can be rotated; and a guest that
resets a device without end would fill the host's disk through them.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = logging.getLogger(__name__)
KEEP_SIZE_AND_PUNCH_HOLE = 0x1 | 0x2
ROOM_BYTES = 1 << 20


class Trimmed:
    """A file that keeps at least its last `kept` bytes, and at most `ROOM_BYTES` more."""

    __slots__ = ("_freed", "_kept", "_room")

    def __init__(self, kept: int = 0) -> None:
        self._kept = kept
        self._freed = 0
        self._room = ROOM_BYTES

    def is_due(self, size: int) -> bool:
        """Whether a file of this size has enough to free."""
        return size - self._kept - self._freed >= self._room

    def trim(self, path: Path, size: int) -> None:
        """Free what is due; where the file system cannot, less and less often try again."""
        until = size - self._kept
        try:
            _punch(path, until)
        except OSError as error:
            LOGGER.warning("%s keeps growing: its blocks cannot be freed: %s", path, error.strerror)
            self._room *= 2
        else:
            self._freed = until


def _punch(path: Path, until: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if libc.fallocate(descriptor, KEEP_SIZE_AND_PUNCH_HOLE, ctypes.c_int64(0), ctypes.c_int64(until)):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)
