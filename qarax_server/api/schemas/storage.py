"""Bodies and answers of storage pools, storage objects, disks, transfers and boot sources."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validates_schema

from qarax_server.api.schemas.base import Answer, Body
from qarax_server.api.schemas.fields import (
    AbsolutePath,
    Bytes,
    Choice,
    FreeObject,
    Id,
    Name,
    Text,
    Time,
    matches,
)
from qarax_server.api.schemas.hosts import HOST_ID

POOL_TYPES = ("local", "nfs")
POOL_STATUSES = ("active", "inactive", "error")
OBJECT_TYPES = ("disk", "kernel", "initrd", "iso", "snapshot")
TRANSFER_TYPES = ("download", "local_copy")
TRANSFER_STATUSES = ("pending", "running", "completed", "failed")

POOL_ID = "8d1f4a52-6c1e-4f0b-9a51-0c9f3f3a7a10"
KERNEL_ID = "c0a8f1d2-3b4c-4d5e-9f60-718293a4b5c6"
INITRD_ID = "d1b9f2e3-4c5d-4e6f-8a71-8293a4b5c6d7"
TRANSFER_ID = "e2caf3f4-5d6e-4f70-9b82-93a4b5c6d7e8"
BOOT_SOURCE_ID = "f3dbf405-6e7f-4081-8c93-a4b5c6d7e8f9"
LONGEST_PARAMS = 2047
KERNEL_PARAMS = "console=ttyS0 reboot=k panic=1"

_POOL_NAME = {"example": "images"}
_POOL_CONFIG = {"example": {"path": "/var/lib/qarax/pools/images"}}


def _check_path(config: dict[str, Any] | None) -> None:
    """Refuse a `config.path` that is not a normal absolute path."""
    if config is None or config.get("path") is None:
        return
    try:
        AbsolutePath().deserialize(config["path"])
    except ValidationError as error:
        raise ValidationError({"config.path": error.messages}) from error


class NewStoragePool(Body):
    """A directory that images live in, on one host or the same path on every host."""

    name = Name(required=True, metadata=_POOL_NAME)
    pool_type = Choice(*POOL_TYPES, required=True, metadata={"example": "local"})
    config = FreeObject(
        load_default=None,
        metadata=_POOL_CONFIG
        | {
            "description": "`path` is the directory; without it, /var/lib/qarax/pools/ and the pool's name. "
            "For nfs: the path must be a mount, and come from `source` (server:/export) when that is given."
        },
    )
    capacity_bytes = Bytes(load_default=None, metadata={"example": 107374182400})
    host_id = Id(load_default=None, metadata={"description": "Without it the path is meant on every host."})

    @validates_schema
    def check_config(self, data: dict[str, Any], **_: Any) -> None:
        """`config.path`, and the export an NFS pool names."""
        config = data.get("config")
        _check_path(config)
        if config and config.get("source") is not None:
            try:
                Text(longest=1024).deserialize(config["source"])
            except ValidationError as error:
                raise ValidationError({"config.source": error.messages}) from error


class StoragePool(Answer):
    """A storage pool."""

    id = Id(metadata={"example": POOL_ID})
    name = Name(metadata=_POOL_NAME)
    pool_type = Choice(*POOL_TYPES, metadata={"example": "local"})
    config = FreeObject(metadata=_POOL_CONFIG)
    capacity_bytes = Bytes(allow_none=True, metadata={"example": 107374182400})
    host_id = Id(allow_none=True, metadata={"example": None})
    status = Choice(*POOL_STATUSES, metadata={"example": "active"})
    status_reason = fields.String(allow_none=True, metadata={"description": "Why it is in error."})
    allocated_bytes = Bytes(metadata={"example": 18874368, "description": "The sum of its objects."})
    created_at = Time()
    updated_at = Time()


class NewStorageObject(Body):
    """A file that is already in the pool."""

    name = Name(required=True, metadata={"example": "vmlinux"})
    storage_pool_id = Id(required=True, metadata={"example": POOL_ID})
    object_type = Choice(*OBJECT_TYPES, required=True, metadata={"example": "kernel"})
    size_bytes = Bytes(
        required=True, metadata={"example": 0, "description": "0: the file's own size is filled in."}
    )
    config = FreeObject(
        load_default=None,
        metadata={
            "example": {"path": "/var/lib/qarax/pools/images/vmlinux"},
            "description": "`path` is the file, inside the pool; without it, the pool's path and the name.",
        },
    )
    parent_id = Id(load_default=None, metadata={"example": None})

    @validates_schema
    def check_config(self, data: dict[str, Any], **_: Any) -> None:
        """`config.path`; whether it is inside the pool is seen when the pool is known."""
        _check_path(data.get("config"))


class StorageObject(Answer):
    """A file of a pool that qarax knows by name."""

    id = Id(metadata={"example": KERNEL_ID})
    name = Name(metadata={"example": "vmlinux"})
    storage_pool_id = Id(metadata={"example": POOL_ID})
    object_type = Choice(*OBJECT_TYPES, metadata={"example": "kernel"})
    size_bytes = Bytes(metadata={"example": 9437184})
    config = FreeObject(metadata={"example": {"path": "/var/lib/qarax/pools/images/vmlinux"}})
    parent_id = Id(allow_none=True, metadata={"example": None})
    created_at = Time()
    updated_at = Time()
    host_id = Id(
        allow_none=True,
        metadata={
            "example": None,
            "description": "The one host that has the file; null: it is wherever its pool is.",
        },
    )


class NewDisk(Body):
    """A blank raw disk of a size, or a clone of a storage object."""

    name = Name(required=True, metadata={"example": "web-1-root"})
    size_bytes = Bytes(
        512,
        load_default=None,
        metadata={"example": 1073741824, "description": "Of a blank disk; a multiple of 512."},
    )
    source_object_id = Id(load_default=None, metadata={"example": None, "description": "What to clone."})

    @validates_schema
    def check_one_of(self, data: dict[str, Any], **_: Any) -> None:
        """Either blank or a clone."""
        size, source = data.get("size_bytes"), data.get("source_object_id")
        if (size is None) == (source is None):
            raise ValidationError(
                "Either size_bytes for a blank disk or source_object_id for a clone.", "size_bytes"
            )
        if size is not None and size % 512:
            raise ValidationError("A multiple of 512.", "size_bytes")


class NewTransfer(Body):
    """A file to bring into a pool: a download, or a copy of a file on the pool's host."""

    name = Name(required=True, metadata={"example": "vmlinux", "description": "The file's name in the pool."})
    source = Text(
        required=True,
        metadata={
            "example": "/var/lib/qarax/images/vmlinux",
            "description": "http:// or https://, else the absolute path of a file inside a pool or one of "
            "the node's import directories.",
        },
    )
    object_type = Choice(*OBJECT_TYPES, required=True, metadata={"example": "kernel"})
    sha256 = fields.String(
        load_default=None,
        validate=matches("^[0-9a-fA-F]{64}$", "64 hexadecimal digits."),
        metadata={"description": "Of the whole file; another content fails the transfer.", "example": None},
    )

    @validates_schema
    def check_source(self, data: dict[str, Any], **_: Any) -> None:
        """A URL that names a host, or a normal absolute path."""
        source = data.get("source")
        if source is None:
            return
        if transfer_type(source) == "download":
            if not _is_url(source):
                raise ValidationError("A URL with a host name and, if any, a port from 1 to 65535.", "source")
            if "@" in urlsplit(source).netloc:
                raise ValidationError("No user and no password in it: every reader would see them.", "source")
            return
        try:
            AbsolutePath().deserialize(source)
        except ValidationError as error:
            raise ValidationError(error.messages, "source") from error


class Transfer(Answer):
    """A file on its way into a pool."""

    id = Id(metadata={"example": TRANSFER_ID})
    name = Name(metadata={"example": "vmlinux"})
    source = fields.String(metadata={"example": "/var/lib/qarax/images/vmlinux"})
    object_type = Choice(*OBJECT_TYPES, metadata={"example": "kernel"})
    transfer_type = Choice(*TRANSFER_TYPES, metadata={"example": "local_copy"})
    status = Choice(*TRANSFER_STATUSES, metadata={"example": "running"})
    storage_pool_id = Id(metadata={"example": POOL_ID})
    storage_object_id = Id(allow_none=True, metadata={"example": None})
    total_bytes = Bytes(allow_none=True, metadata={"example": 9437184})
    transferred_bytes = Bytes(metadata={"example": 4194304})
    error_message = fields.String(allow_none=True)
    created_at = Time()
    started_at = Time(allow_none=True)
    completed_at = Time(allow_none=True, metadata={"example": None})
    updated_at = Time()
    host_id = Id(
        allow_none=True, metadata={"example": HOST_ID, "description": "The host that brings the file."}
    )


def _command_line(value: str) -> None:
    """Linux counts bytes; what is over its limit it cuts off, or the hypervisor refuses at the start."""
    if len(value.encode()) > LONGEST_PARAMS:
        raise ValidationError(f"At most {LONGEST_PARAMS} bytes in UTF-8.")


class NewBootSource(Body):
    """A kernel, perhaps an initrd, and a command line."""

    name = Name(required=True, metadata={"example": "debian"})
    kernel_image_id = Id(required=True, metadata={"example": KERNEL_ID})
    initrd_image_id = Id(load_default=None, metadata={"example": INITRD_ID})
    kernel_params = Text(
        load_default=KERNEL_PARAMS,
        longest=LONGEST_PARAMS,
        validate=_command_line,
        metadata={"example": KERNEL_PARAMS, "description": f"Without it: {KERNEL_PARAMS}"},
    )
    description = Text(load_default=None, multiline=True, metadata={"example": "Debian's cloud kernel"})


class BootSource(Answer):
    """What a VM boots from."""

    id = Id(metadata={"example": BOOT_SOURCE_ID})
    name = Name(metadata={"example": "debian"})
    description = fields.String(allow_none=True, metadata={"example": "Debian's cloud kernel"})
    kernel_image_id = Id(metadata={"example": KERNEL_ID})
    initrd_image_id = Id(allow_none=True, metadata={"example": INITRD_ID})
    kernel_params = fields.String(allow_none=True, metadata={"example": KERNEL_PARAMS})
    created_at = Time()
    updated_at = Time()


def transfer_type(source: str) -> str:
    """How a source is brought in."""
    return "download" if source.lower().startswith(("http://", "https://")) else "local_copy"


def _is_url(source: str) -> bool:
    try:
        parts = urlsplit(source)
        return bool(parts.hostname) and " " not in source and parts.port != 0
    except ValueError:
        return False
