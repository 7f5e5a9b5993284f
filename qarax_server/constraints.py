"""The constraints of the schema by name, and the sentence that each of them is to an operator."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg2

from qarax_server.errors import Busy, Conflict, Invalid, QaraxError

CONSTRAINTS: Mapping[str, tuple[type[QaraxError], str, str]] = {
    "hosts_name_taken": (Conflict, "name", "a host of this name exists: choose another name"),
    "hosts_address_taken": (Conflict, "address", "a host with this address and port exists"),
    "storage_pools_name_taken": (Conflict, "name", "a storage pool of this name exists: choose another name"),
    "storage_pools_host_known": (Invalid, "host_id", "no such host"),
    "storage_objects_pool_known": (Invalid, "storage_pool_id", "no such storage pool"),
    "storage_objects_parent_known": (Invalid, "parent_id", "no such storage object"),
    "storage_objects_host_known": (Conflict, "host_id", "the host is gone or still has storage objects"),
    "storage_objects_name_taken": (Conflict, "name", "an object of this name exists in the pool"),
    "transfers_pool_known": (Conflict, "storage_pool_id", "the storage pool is gone or still has transfers"),
    "transfers_one_in_flight": (Conflict, "name", "a transfer to this name is under way in the pool"),
    "boot_sources_name_taken": (Conflict, "name", "a boot source of this name exists: choose another name"),
    "boot_sources_kernel_known": (Invalid, "kernel_image_id", "no such storage object"),
    "boot_sources_initrd_known": (Invalid, "initrd_image_id", "no such storage object"),
    "vms_name_taken": (Conflict, "name", "a VM of this name exists: choose another name"),
    "vms_host_known": (Conflict, "host_id", "the host is gone or still has VMs"),
    "vms_boot_source_known": (Invalid, "boot_source_id", "no such boot source"),
    "vm_disks_object_known": (Invalid, "disks", "no such storage object"),
    "tokens_name_taken": (
        Conflict,
        "name",
        "a token of this name exists: revoke it first (qarax-server token revoke), or choose another name",
    ),
    "operations_one_in_flight": (Busy, "", "another operation is under way"),
}


def constraint_error(error: psycopg2.IntegrityError) -> QaraxError:
    """Return what a violated constraint means; one that is not in the table is a defect, and raised."""
    name = error.diag.constraint_name or ""
    if name not in CONSTRAINTS:
        raise error
    if "still referenced" in (error.diag.message_detail or ""):
        return Conflict(f"still in use: {error.diag.message_detail}", code="in_use")
    kind, field, sentence = CONSTRAINTS[name]
    code = name if kind is not Busy else None
    return kind(sentence, code=code, errors={field: [sentence]} if field else None)
