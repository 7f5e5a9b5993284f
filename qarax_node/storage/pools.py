"""Pools, files and disks on this host. Everything here blocks: callers use a thread and a deadline."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qarax_node.errors import NodeError
from qarax_node.storage import formats, mounts, paths

if TYPE_CHECKING:
    from collections.abc import Iterator

FICLONE = 0x40049409
SMALLEST_DISK_BYTES = 512
COPY_BYTES = 1 << 26
MEMORY_BYTES = 1 << 20
NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS)
"""What a kernel says that cannot do it by itself, here or between these two."""


@dataclass(frozen=True)
class Pool:
    """Room in a pool's file system, in bytes."""

    capacity: int
    available: int


@dataclass(frozen=True)
class File:
    """A file as it is; `format` as `formats.sniff` names it."""

    exists: bool
    size: int = 0
    format: str = ""


def check_pool(path: str, pool_type: str, nfs_source: str, *, look_only: bool = False) -> Pool:
    """Say what a pool holds. An NFS pool must be mounted, from its source; a local one's directory is made.

    With `look_only` nothing is made: a local pool that nobody has used yet holds nothing.
    """
    if pool_type == "nfs":
        mounts.check_mounted(path, nfs_source)
    try:
        descriptor = paths.open_pool(path, make=pool_type != "nfs" and not look_only)
    except NodeError as error:
        if look_only and pool_type != "nfs" and error.kind == "missing":
            return Pool(0, 0)
        raise
    try:
        room = os.fstatvfs(descriptor)
    finally:
        os.close(descriptor)
    return Pool(room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize)


def check_file(pool_path: str, path: str) -> File:
    """What is at a path; one that does not exist is an answer, one that leaves its pool is not."""
    try:
        descriptor = paths.open_file(pool_path, path)
    except NodeError as error:
        if error.kind == "missing":
            return File(exists=False)
        raise
    try:
        return File(True, _size(descriptor), formats.sniff(descriptor) if _is_data(descriptor) else "unknown")
    finally:
        os.close(descriptor)


def _is_data(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def _size(descriptor: int) -> int:
    found = os.fstat(descriptor)
    return os.lseek(descriptor, 0, os.SEEK_END) if stat.S_ISBLK(found.st_mode) else found.st_size


def delete_file(pool_path: str, path: str) -> None:
    """Remove a file beneath its pool; one that is gone already is fine."""
    with opened_parent(pool_path, path) as (parent, name):
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise NodeError(f"{path} is a directory", code="file_unusable", field="path")
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return


@contextlib.contextmanager
def opened_parent(pool_path: str, path: str) -> Iterator[tuple[int, str]]:
    """The directory of a file as a descriptor, and the file's name in it."""
    descriptor, name = _open_parent(pool_path, path)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def _open_parent(pool_path: str, path: str) -> tuple[int, str]:
    inside = paths.relative(pool_path, path)
    if len(inside.parts) == 1:
        return paths.open_pool(pool_path), inside.name
    return paths.open_file(pool_path, str(Path(path).parent), os.O_RDONLY | os.O_DIRECTORY), inside.name


class Replacement:
    """A fresh file beside `path` that takes its place when committed; blocking, like all here."""

    def __init__(self, pool_path: str, path: str) -> None:
        self._parent, self._name = _open_parent(pool_path, path)
        self._fresh = f".{self._name[:200]}.{uuid.uuid4().hex[:12]}.new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self.descriptor = os.open(self._fresh, flags, 0o640, dir_fd=self._parent)
        except OSError:
            os.close(self._parent)
            raise
        self._done = False

    def write(self, chunk: bytes) -> None:
        """Append a whole chunk."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def commit(self) -> None:
        """Make it durable and give it its name."""
        os.fsync(self.descriptor)
        os.rename(self._fresh, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        self._done = True
        os.fsync(self._parent)

    def close(self) -> None:
        """Let go; what was not committed is removed."""
        if not self._done:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._fresh, dir_fd=self._parent)
        os.close(self.descriptor)
        os.close(self._parent)


@contextlib.contextmanager
def replacing(pool_path: str, path: str) -> Iterator[int]:
    """A fresh file that takes the path's place when the block ends well, and is removed when it does not."""
    made = Replacement(pool_path, path)
    try:
        yield made.descriptor
        made.commit()
    finally:
        made.close()


def create_disk(pool_path: str, path: str, size: int, clone_of: tuple[str, str] | None) -> File:
    """A sparse raw disk of `size` bytes, or a copy of another file, by reflink where the file system can."""
    if check_file(pool_path, path).exists:
        raise NodeError(f"{path} exists already", code="file_exists", kind="exists", field="name")
    if clone_of is None:
        _check_size(size)
        with replacing(pool_path, path) as made:
            os.ftruncate(made, size)
    else:
        source = paths.open_file(*clone_of, field="clone_of")
        try:
            with replacing(pool_path, path) as made:
                _clone(source, made)
                if size > os.fstat(made).st_size and formats.sniff(made) == "raw":
                    os.ftruncate(made, size)
        finally:
            os.close(source)
    return check_file(pool_path, path)


def _check_size(size: int) -> None:
    if size < SMALLEST_DISK_BYTES or size % SMALLEST_DISK_BYTES:
        raise NodeError(
            f"size_bytes is {size}; a disk is a multiple of 512 bytes",
            code="size_invalid",
            field="size_bytes",
        )


def _clone(source: int, made: int) -> None:
    try:
        fcntl.ioctl(made, FICLONE, source)
    except OSError as error:
        if error.errno not in NO_CLONE:
            raise
        _copy_data(source, made)


def _copy_data(source: int, made: int) -> None:
    """Copy what is data and leave holes as holes."""
    size = _size(source)
    os.ftruncate(made, size)
    place = 0
    while place < size:
        try:
            place = os.lseek(source, place, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(source, place, os.SEEK_HOLE)
        while place < end:
            count = _copy_part(source, made, place, min(COPY_BYTES, end - place))
            if count == 0:
                return
            place += count


def _copy_part(source: int, made: int, place: int, most: int) -> int:
    """Copy up to `most` bytes in the kernel where it can, through memory between file systems and devices."""
    try:
        return os.copy_file_range(source, made, most, place, place)
    except OSError as error:
        if error.errno not in NO_CLONE:
            raise
    return os.pwrite(made, os.pread(source, min(most, MEMORY_BYTES), place), place)
