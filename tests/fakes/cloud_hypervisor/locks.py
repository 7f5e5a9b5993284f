"""Open file description locks, taken on disk images and on the lock file beside the API socket."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

F_OFD_SETLK = 37


def take_lock(descriptor: int, *, write: bool, length: int = 0) -> bool:
    """Lock `length` bytes from the start (0: all); False when another holds them. The last close unlocks."""
    kind = fcntl.F_WRLCK if write else fcntl.F_RDLCK
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, length, 0)
    try:
        fcntl.fcntl(descriptor, F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
