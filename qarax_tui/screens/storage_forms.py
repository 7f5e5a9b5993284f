"""The forms of storage and boot sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qarax_tui.screens import rules
from qarax_tui.screens.form import Field, Form
from qarax_tui.screens.format import size

if TYPE_CHECKING:
    from qarax_tui.screens.session import Session

_OBJECT_TYPES = [(kind, kind) for kind in ("disk", "kernel", "initrd", "iso", "snapshot")]
_SECTOR = 512


def new_pool(session: Session) -> Form:
    """A directory on a host, or on every host."""
    hosts = [("every host", "")] + [(host.name, host.id) for host in session.fleet.hosts.values()]
    fields = (
        Field("name", "Name", rules.name),
        Field("pool_type", "Type", str, "local", choices=[("local", "local"), ("nfs", "nfs")]),
        Field("path", "Path", rules.path, hint="a directory; made when it is first used"),
        Field("source", "Source", rules.optional, "", hint="nfs: the server:/export that is mounted there"),
        Field("host_id", "Host", rules.optional, "", choices=hosts),
    )

    async def submit(values: dict[str, Any]) -> str:
        config = {name: value for name in ("path", "source") if (value := values.pop(name))}
        body = {name: value for name, value in values.items() if value} | {"config": config}
        return await session.api.create_storage_pool(body)

    return Form("New storage pool", fields, "Create", submit)


def _pools(session: Session) -> list[tuple[str, str]]:
    return [(f"{pool.name}  {pool.path}", pool.id) for pool in session.fleet.storage_pools.values()]


def new_object(session: Session, pool_id: str) -> Form:
    """A file that is already inside a pool."""
    fields = (
        Field("name", "Name", rules.name),
        Field("storage_pool_id", "Pool", str, pool_id, choices=_pools(session)),
        Field("object_type", "Type", str, "disk", choices=_OBJECT_TYPES),
        Field("path", "Path", rules.path, hint="inside the pool's directory"),
    )

    async def submit(values: dict[str, Any]) -> str:
        path = values.pop("path")
        return await session.api.create_storage_object({**values, "size_bytes": 0, "config": {"path": path}})

    return Form("Register a file as an object", fields, "Register", submit)


def new_transfer(session: Session, pool_id: str) -> Form:
    """A file from an address or a path into a pool."""
    fields = (
        Field("source", "Source", rules.source, hint="https://… or a path on the pool's host"),
        Field("name", "Name", rules.name, hint="what the file and the object are called"),
        Field("object_type", "Type", str, "disk", choices=_OBJECT_TYPES),
        Field("storage_pool_id", "Pool", str, pool_id, choices=_pools(session)),
    )

    async def submit(values: dict[str, Any]) -> str:
        pool = values.pop("storage_pool_id")
        return await session.api.create_transfer(pool, values)

    return Form("Transfer a file into a pool", fields, "Start", submit)


def new_disk(session: Session, pool_id: str) -> Form:
    """A blank disk, or a clone of one."""
    disks = sorted(session.fleet.storage_objects.values(), key=lambda one: one.name)
    sources = [("nothing: a blank disk", "")]
    sources += [(f"{one.name}  {size(one.size_bytes)}", one.id) for one in disks if one.object_type == "disk"]
    fields = (
        Field("name", "Name", rules.name, hint="of the file and the object"),
        Field("source_object_id", "Copy of", rules.optional, "", choices=sources),
        Field(
            "size_bytes", "Size", _disk_size, "10GiB", hint="of a blank disk; a copy is as big as its source"
        ),
        Field("storage_pool_id", "Pool", str, pool_id, choices=_pools(session)),
    )

    async def submit(values: dict[str, Any]) -> str:
        pool = values.pop("storage_pool_id")
        values.pop("size_bytes" if values["source_object_id"] else "source_object_id")
        return str((await session.api.create_disk(pool, values)).get("subject_id", ""))

    return Form("New disk", fields, "Create", submit)


def _disk_size(text: str) -> int:
    amount = rules.size(text)
    if amount % _SECTOR:
        raise ValueError(f"A multiple of {_SECTOR} bytes.")
    return amount


def new_boot_source(session: Session) -> Form:
    """A kernel, perhaps an initrd, and a command line."""
    objects = sorted(session.fleet.storage_objects.values(), key=lambda one: one.name)
    kernels = [(one.name, one.id) for one in objects if one.object_type == "kernel"]
    initrds = [("none", "")] + [(one.name, one.id) for one in objects if one.object_type == "initrd"]
    fields = (
        Field("name", "Name", rules.name),
        Field("kernel_image_id", "Kernel", rules.required, choices=kernels, hint="an object of type kernel"),
        Field("initrd_image_id", "Initrd", rules.optional, "", choices=initrds),
        Field(
            "kernel_params", "Command line", rules.command_line, hint="empty: console=ttyS0 reboot=k panic=1"
        ),
        Field("description", "Description", rules.optional),
    )

    async def submit(values: dict[str, Any]) -> str:
        body = {name: value for name, value in values.items() if value is not None}
        return await session.api.create_boot_source(body)

    return Form("New boot source", fields, "Create", submit)
