"""Records out of the JSON of the control plane, which must come from `sanitise.safe_json`.

A field that is missing, null or of another type becomes the empty value of its type: the worst a hostile or
newer server can show is a blank cell. Words that many records share are kept once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime

from .records import (
    BootSource,
    Event,
    Host,
    Json,
    Operation,
    Orphan,
    Record,
    StorageObject,
    StoragePool,
    Transfer,
    Vm,
)
from .sanitise import MAX_TEXT

MOST_DIFFERENCES = 8


def timestamp(value: object) -> float | None:
    """Unix seconds of an RFC 3339 time, or None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _text(body: Json, field: str) -> str:
    value = body.get(field)
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _shared(body: Json, field: str) -> str:
    """A word that many records share (a status, a host's id) is kept once."""
    value = body.get(field)
    return sys.intern(value[:MAX_TEXT]) if isinstance(value, str) else ""


def _whole(body: Json, field: str) -> int:
    value = body.get(field)
    return value if isinstance(value, int) else 0


def _size(body: Json, field: str) -> int | None:
    value = body.get(field)
    return value if isinstance(value, int) else None


def _rows(body: Json, field: str) -> list[Json]:
    value = body.get(field)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _fraction(progress: object) -> float | None:
    """Progress is a fraction, or an object with `fraction`, or with `done` and `total` of any unit."""
    if isinstance(progress, Mapping):
        done, total = progress.get("done"), progress.get("total")
        if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
            return max(0.0, min(1.0, done / total))
        return _fraction(progress.get("fraction"))
    return max(0.0, min(1.0, float(progress))) if isinstance(progress, int | float) else None


def _network(row: Json) -> str:
    tied_to = _text(row, "tap") or _text(row, "vhost_socket") or _text(row, "parent")
    return sys.intern("=".join(part for part in (_text(row, "id"), tied_to) if part))


def operation(body: Json) -> Operation:
    """An operation as its own resource, or as the short form inside a VM."""
    return Operation(
        id=_text(body, "id"),
        action=_shared(body, "action"),
        status=_shared(body, "status") or "running",
        actor=_shared(body, "actor"),
        subject_type=_shared(body, "subject_type"),
        subject_id=_text(body, "subject_id"),
        subject_name=_text(body, "subject_name"),
        started_at=timestamp(body.get("started_at")),
        deadline_at=timestamp(body.get("deadline_at")),
        ended_at=timestamp(body.get("ended_at")),
        outcome=_text(body, "outcome"),
        reason=_text(body, "reason"),
        progress=_fraction(body.get("progress")),
    )


def vm(body: Json) -> Vm:
    """A VM's row."""
    running = body.get("operation")
    return Vm(
        id=_text(body, "id"),
        name=_text(body, "name"),
        status=_shared(body, "status") or "unknown",
        status_reason=_shared(body, "status_reason"),
        host_id=_shared(body, "host_id"),
        driver=_shared(body, "driver"),
        boot_vcpus=_whole(body, "boot_vcpus"),
        max_vcpus=_whole(body, "max_vcpus"),
        memory_size=_whole(body, "memory_size"),
        boot_source_id=_shared(body, "boot_source_id"),
        networks=tuple(_network(row) for row in _rows(body, "networks")),
        disks=tuple(_shared(row, "storage_object_id") for row in _rows(body, "disks")),
        protected=body.get("protected") is True,
        started_at=timestamp(body.get("started_at")),
        created_at=timestamp(body.get("created_at")),
        operation=operation(running) if isinstance(running, dict) else None,
    )


def _versions(value: object) -> tuple[str, ...]:
    pairs = value.items() if isinstance(value, dict) else ()
    return tuple(f"{name} {version}" for name, version in pairs if isinstance(version, str) and version)


def _drivers(value: object) -> tuple[str, ...]:
    rows = value if isinstance(value, list) else []
    names = [row.get("name") if isinstance(row, dict) else row for row in rows]
    return tuple(sys.intern(name) for name in names if isinstance(name, str))


def host(body: Json) -> Host:
    """A host's row."""
    return Host(
        id=_shared(body, "id"),
        name=_text(body, "name"),
        address=_text(body, "address"),
        port=_whole(body, "port"),
        host_user=_shared(body, "host_user"),
        status=_shared(body, "status") or "unknown",
        status_reason=_text(body, "status_reason"),
        drivers=_drivers(body.get("drivers")),
        stand_ins=_drivers([row for row in _rows(body, "drivers") if row.get("stand_in") is True]),
        versions=_versions(body.get("versions")),
        cpus=_whole(body, "cpus"),
        memory_bytes=_whole(body, "memory_bytes"),
        allocated_vcpus=_whole(body, "allocated_vcpus"),
        allocated_memory_bytes=_whole(body, "allocated_memory_bytes"),
        last_seen_at=timestamp(body.get("last_seen_at")),
    )


def _path(body: Json) -> str:
    config = body.get("config")
    return _text(config, "path") if isinstance(config, dict) else ""


def storage_pool(body: Json) -> StoragePool:
    """A pool's row."""
    return StoragePool(
        id=_shared(body, "id"),
        name=_text(body, "name"),
        pool_type=_shared(body, "pool_type"),
        status=_shared(body, "status"),
        status_reason=_text(body, "status_reason"),
        path=_path(body),
        host_id=_shared(body, "host_id"),
        capacity_bytes=_size(body, "capacity_bytes"),
        allocated_bytes=_whole(body, "allocated_bytes"),
    )


def storage_object(body: Json) -> StorageObject:
    """An object's row."""
    return StorageObject(
        id=_shared(body, "id"),
        name=_text(body, "name"),
        storage_pool_id=_shared(body, "storage_pool_id"),
        object_type=_shared(body, "object_type"),
        size_bytes=_whole(body, "size_bytes"),
        path=_path(body),
        parent_id=_text(body, "parent_id"),
    )


def transfer(body: Json) -> Transfer:
    """A transfer's row."""
    return Transfer(
        id=_text(body, "id"),
        name=_text(body, "name"),
        source=_text(body, "source"),
        object_type=_shared(body, "object_type"),
        transfer_type=_shared(body, "transfer_type"),
        status=_shared(body, "status"),
        storage_pool_id=_shared(body, "storage_pool_id"),
        storage_object_id=_text(body, "storage_object_id"),
        total_bytes=_size(body, "total_bytes"),
        transferred_bytes=_whole(body, "transferred_bytes"),
        error_message=_text(body, "error_message"),
        started_at=timestamp(body.get("started_at")),
        completed_at=timestamp(body.get("completed_at")),
    )


def boot_source(body: Json) -> BootSource:
    """A boot source's row."""
    return BootSource(
        id=_shared(body, "id"),
        name=_text(body, "name"),
        description=_text(body, "description"),
        kernel_image_id=_shared(body, "kernel_image_id"),
        initrd_image_id=_shared(body, "initrd_image_id"),
        kernel_params=_text(body, "kernel_params"),
    )


def orphan(body: Json) -> Orphan:
    """An orphan's row."""
    return Orphan(
        id=_text(body, "vm_id"),
        name=_text(body, "name"),
        host_id=_shared(body, "host_id"),
        status=_shared(body, "status") or "unknown",
        ignored=body.get("ignored") is True,
        first_seen_at=timestamp(body.get("first_seen_at")),
    )


def event(body: Json) -> Event:
    """A row of the flight recorder."""
    return Event(
        sequence=_whole(body, "sequence"),
        occurred_at=timestamp(body.get("occurred_at")),
        action=_shared(body, "action"),
        actor=_shared(body, "actor"),
        request_id=_text(body, "request_id"),
        subject_type=_shared(body, "subject_type"),
        subject_id=_text(body, "subject_id"),
        subject_name=_text(body, "subject_name"),
        message=_text(body, "message"),
        changes=_differences(body.get("before"), body.get("after")),
    )


def _differences(before: object, after: object) -> tuple[str, ...]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ()
    known = before.get
    differing = [
        field for field, value in after.items() if value is not (was := known(field)) and value != was
    ]
    plain = [
        f"{field}: {_short(before.get(field))} → {_short(after[field])}"
        for field in differing
        if field != "updated_at" and not isinstance(after[field], dict | list)
    ]
    return tuple(plain[:MOST_DIFFERENCES])


def _short(value: object) -> str:
    return "none" if value is None or isinstance(value, dict | list) else str(value)[:60]


_MAKERS: Mapping[str, Callable[[Json], Record]] = {
    "vm": vm,
    "host": host,
    "storage_pool": storage_pool,
    "storage_object": storage_object,
    "transfer": transfer,
    "boot_source": boot_source,
    "operation": operation,
    "orphan": orphan,
}


def record(noun: str, body: Json) -> Record:
    """The record of a noun from the JSON of its GET."""
    return _MAKERS[noun](body)
