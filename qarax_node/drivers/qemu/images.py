"""qcow2 images that would make QEMU open other files than the VM's own: refused by their header.

QEMU follows a backing file and an external data file wherever they lead, out of the pool too. The header's
layout: QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_node.drivers.base import DriverError

if TYPE_CHECKING:
    from qarax_node.drivers.base import DiskSpec

HEADER_BYTES = 80
BACKING_FILE_OFFSET = slice(8, 16)
INCOMPATIBLE_FEATURES = slice(72, 80)
EXTERNAL_DATA_FILE = 1 << 2
FIRST_VERSION_WITH_FEATURES = 3


def check(number: int, disk: DiskSpec) -> None:
    """Raise DriverError for an image that leads elsewhere. Reads the file: not for the event loop."""
    if disk.image_type == "qcow2" and (elsewhere := _leads_elsewhere(disk)):
        raise DriverError(
            f"{disk.path} has {elsewhere}, which may lie outside its pool; "
            f"make it one file: qemu-img convert -O qcow2 {disk.path} NEW",
            code="disk_not_self_contained",
            field=f"disks.{number}",
        )


def _leads_elsewhere(disk: DiskSpec) -> str:
    try:
        with disk.path.open("rb") as image:
            header = image.read(HEADER_BYTES)
    except OSError as error:
        raise DriverError(
            f"{disk.path} cannot be read: {error.strerror}", code="disk_unreadable", field="disks"
        ) from error
    if int.from_bytes(header[BACKING_FILE_OFFSET], "big"):
        return "a backing file"
    version = int.from_bytes(header[4:8], "big")
    features = int.from_bytes(header[INCOMPATIBLE_FEATURES], "big")
    if version >= FIRST_VERSION_WITH_FEATURES and features & EXTERNAL_DATA_FILE:
        return "an external data file"
    return ""
