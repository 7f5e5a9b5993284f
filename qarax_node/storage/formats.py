"""What a file is by its first bytes, and whether that is what the spec says it is."""

from __future__ import annotations

import os

from qarax_node.errors import NodeError
from qarax_node.storage import paths

HEAD_BYTES = 0x8010
MAGICS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"\x7fELF", "elf"),
    (0x202, b"HdrS", "bzimage"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"070701", "cpio"),
    (0, b"070702", "cpio"),
    (0, b"\xc7\x71", "cpio"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x02\x21\x4c\x18", "lz4"),
    (0, b"BZh", "bzip2"),
    (0, b"\x5d\0\0", "lzma"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"KDMV", "vmdk"),
    (0x8001, b"CD001", "iso"),
)
KERNELS = ("bzimage", "elf")
INITRDS = ("gzip", "cpio", "zstd", "xz", "lz4", "bzip2", "lzma")
NOT_RAW = ("qcow2", "vhd", "vhdx", "vmdk")
SECTOR_BYTES = 512
VHD_FOOTER = b"conectix"


def sniff(descriptor: int) -> str:
    """`bzimage elf gzip cpio zstd xz lz4 bzip2 lzma qcow2 vhd vhdx vmdk iso`, or `raw`; empty: `unknown`."""
    head = os.pread(descriptor, HEAD_BYTES, 0)
    if not head:
        return "unknown"
    for offset, magic, name in MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return name
    footer = os.pread(descriptor, len(VHD_FOOTER), max(0, _size(descriptor) - SECTOR_BYTES))
    return "vhd" if footer == VHD_FOOTER else "raw"


def _size(descriptor: int) -> int:
    """Of a file or a block device, in bytes."""
    return os.lseek(descriptor, 0, os.SEEK_END)


def check(pool_path: str, path: str, kind: str, field: str, image_type: str = "") -> None:
    """Refuse a `kernel`, `initrd` or `disk` that is missing, unreadable or something else than it says."""
    flags = os.O_RDWR if kind == "disk" else os.O_RDONLY
    descriptor = paths.open_file(pool_path, path, flags, field=field)
    try:
        paths.check_same(descriptor, path, field)
        found, size = sniff(descriptor), _size(descriptor)
    finally:
        os.close(descriptor)
    if kind == "kernel" and found not in KERNELS:
        raise NodeError(
            f"{path} is no kernel (bzImage or ELF) but {found}", code="kernel_format", field=field
        )
    if kind == "initrd" and found not in INITRDS:
        raise NodeError(
            f"{path} is no initramfs (cpio, or one compressed) but {found}", code="initrd_format", field=field
        )
    if kind in ("disk", "readonly_disk"):
        _check_disk(path, found, size, image_type, field)


def _check_disk(path: str, found: str, size: int, image_type: str, field: str) -> None:
    if size < SECTOR_BYTES:
        sentence = f"{path} has {size} bytes; a disk has at least {SECTOR_BYTES}"
        raise NodeError(sentence, code="disk_format", field=field)
    if (image_type == "qcow2") != (found == "qcow2") or (image_type == "raw" and found in NOT_RAW):
        raise NodeError(
            f"{path} is declared {image_type} and its header says {found}; declare what it is",
            code="image_type_mismatch",
            field=field,
        )
