"""Files beneath their pool: opened with openat2(2), no symbolic links, no "..", no magic links.

A driver's hypervisor opens by path, again at every guest reboot, so a directory that others can write would
let them swap what was checked: it is refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
from pathlib import Path, PurePosixPath

from qarax_node.errors import NodeError

SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _openat2(directory: int, path: str, flags: int, mode: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, RESOLVE)
    got = _libc.syscall(
        ctypes.c_long(SYS_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(got)


def relative(pool_path: str, path: str, field: str = "path") -> PurePosixPath:
    """The path inside its pool, by text alone; both absolute, without "..", "." or doubled slashes."""
    for given in (pool_path, path):
        parts = PurePosixPath(given).parts
        if not given.startswith("/") or "\0" in given or ".." in parts or str(PurePosixPath(given)) != given:
            raise NodeError(
                f'{given!r} must be an absolute path without "..", "." or doubled slashes',
                code="path_invalid",
                field=field,
            )
    inside = PurePosixPath(path)
    if not inside.is_relative_to(pool_path) or path == pool_path:
        raise NodeError(f"{path} is not inside its pool {pool_path}", code="path_outside_pool", field=field)
    return inside.relative_to(pool_path)


def open_pool(pool_path: str, *, make: bool = False) -> int:
    """A descriptor of the pool's directory; `make` creates a missing one, 0755. The caller closes it."""
    if (
        not pool_path.startswith("/")
        or str(PurePosixPath(pool_path)) != pool_path
        or ".." in pool_path.split("/")
    ):
        raise NodeError(
            f'{pool_path!r} must be an absolute path without ".."', code="path_invalid", field="path"
        )
    if make:
        _make(Path(pool_path))
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _openat2(root, pool_path.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY, 0)
    except OSError as error:
        raise _explained(error, pool_path, "path") from error
    finally:
        os.close(root)
    if _others_write(descriptor):
        os.close(descriptor)
        raise NodeError(
            f"{pool_path} can be written by others than root and the node's user; "
            f"chmod go-w {pool_path} and give it to root",
            code="pool_writable_by_others",
            field="path",
        )
    return descriptor


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise NodeError(
            f"the pool's directory {path} cannot be made: {error.strerror}",
            code="pool_unusable",
            field="path",
        ) from error


def open_file(
    pool_path: str, path: str, flags: int = os.O_RDONLY, mode: int = 0o640, field: str = "path"
) -> int:
    """Open a file beneath its pool; the caller closes it. Refusals are NodeErrors naming `field`."""
    inside = relative(pool_path, path, field)
    pool = open_pool(pool_path)
    try:
        _check_directories(pool, inside, field)
        return _openat2(pool, str(inside), flags | os.O_NONBLOCK, mode if flags & os.O_CREAT else 0)
    except OSError as error:
        raise _explained(error, path, field) from error
    finally:
        os.close(pool)


def _check_directories(pool: int, inside: PurePosixPath, field: str) -> None:
    for directory in list(inside.parents)[:-1]:
        descriptor = _openat2(pool, str(directory), os.O_PATH | os.O_DIRECTORY, 0)
        open_to_others = _others_write(descriptor)
        os.close(descriptor)
        if open_to_others:
            raise NodeError(
                f"the directory {directory} inside the pool can be written by others than root and the "
                "node's user; chmod go-w it and give it to root",
                code="pool_writable_by_others",
                field=field,
            )


def _others_write(descriptor: int) -> bool:
    """Whether others than root and the node's user may write a directory, its owner among them."""
    found = os.fstat(descriptor)
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) or found.st_uid not in (0, os.geteuid())


def _explained(error: OSError, path: str, field: str) -> NodeError:
    if error.errno == errno.ENOENT:
        return NodeError(
            f"{path} does not exist on this host", code="file_missing", kind="missing", field=field
        )
    if error.errno in (errno.ELOOP, errno.EXDEV):
        return NodeError(
            f"{path} leads through a symbolic link or out of its pool; name the real path",
            code="path_outside_pool",
            field=field,
        )
    if error.errno == errno.ENOSYS:
        return NodeError(
            f"this kernel ({platform.release()}) has no openat2; qarax-node needs Linux 5.6 or newer",
            code="kernel_too_old",
            kind="unavailable",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE):
        return NodeError(f"{path}: {error.strerror}", code="no_space", kind="exhausted", field=field)
    return NodeError(f"{path} cannot be used: {error.strerror}", code="file_unusable", field=field)


def check_same(descriptor: int, path: str, field: str) -> None:
    """What was opened beneath the pool is what its path names now: a regular file or a block device."""
    opened = os.fstat(descriptor)
    if not (stat.S_ISREG(opened.st_mode) or stat.S_ISBLK(opened.st_mode)):
        raise NodeError(f"{path} is no regular file and no block device", code="file_unusable", field=field)
