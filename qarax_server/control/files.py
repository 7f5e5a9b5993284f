"""From what a VM refers to (boot source, objects, defaults) to files beneath pools on its host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from qarax_server.database import Connection
from qarax_server.errors import Invalid
from qarax_server.models import Boot, DiskFile, File, VmDisk
from qarax_server.settings import VmDefaults
from qarax_server.store import vms

DEFAULT_PARAMETERS = "console=ttyS0 reboot=k panic=1"
ROOT_DISK = "rootfs"


@dataclass
class Files:
    """What a VM boots and its disks. `homes`: path of each file that is on one host only → that host."""

    boot: Boot
    disks: list[DiskFile] = field(default_factory=list)
    homes: dict[str, str] = field(default_factory=dict)


async def resolve(
    c: Connection, boot_source_id: str | None, disks: Sequence[VmDisk], defaults: VmDefaults
) -> Files:
    """Find the files of a VM.

    Raises:
        Invalid: a boot source or object does not exist, or is of the wrong kind.
    """
    files = await _boot(c, boot_source_id, defaults)
    await _disks(c, files, disks)
    if boot_source_id is None and defaults.rootfs:
        files.disks.insert(0, DiskFile(ROOT_DISK, _outside(defaults.rootfs), False, defaults.rootfs_type))
    return files


async def _boot(c: Connection, boot_source_id: str | None, defaults: VmDefaults) -> Files:
    if boot_source_id is None:
        initrd = _outside(defaults.initramfs) if defaults.initramfs else None
        return Files(Boot(_outside(defaults.kernel), initrd, defaults.cmdline))
    row = await vms.get_boot_files(c, boot_source_id)
    if row is None:
        raise _invalid("boot_source_id", f"no boot source has the id {boot_source_id}")
    kernel = File(row["kernel_pool_path"], row["kernel_path"])
    initrd = File(row["initrd_pool_path"], row["initrd_path"]) if row["initrd_path"] else None
    homes = {
        row[f"{which}_path"]: row[f"{which}_host_id"]
        for which in ("kernel", "initrd")
        if row[f"{which}_host_id"]
    }
    return Files(Boot(kernel, initrd, row["kernel_params"] or DEFAULT_PARAMETERS), homes=homes)


async def _disks(c: Connection, files: Files, disks: Sequence[VmDisk]) -> None:
    found = await vms.get_disk_files(c, [disk.storage_object_id for disk in disks])
    for position, disk in enumerate(disks):
        row = found.get(disk.storage_object_id)
        place = f"disks.{position}.storage_object_id"
        if row is None:
            raise _invalid(place, f"no storage object has the id {disk.storage_object_id}")
        if row["object_type"] in {"kernel", "initrd"}:
            raise _invalid(place, f"a {row['object_type']} is no disk: choose an object of type disk")
        file = File(row["pool_path"], row["path"])
        files.disks.append(DiskFile(f"disk{position}", file, disk.readonly, disk.image_type))
        if row["host_id"]:
            files.homes[row["path"]] = row["host_id"]


def _outside(path: str) -> File:
    """A file of the configuration: its own directory stands for the pool."""
    return File(str(PurePosixPath(path).parent), path)


def _invalid(field_name: str, sentence: str) -> Invalid:
    return Invalid(sentence, errors={field_name: [sentence]})
