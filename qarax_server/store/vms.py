"""VMs with their disks: SQL in, dataclass or JSON text out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import NewVm, Vm, VmDisk, build
from qarax_server.observed import Observation
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find, find_document

VMS = queries.load("vms")
LISTING = Listing(VMS.list_vm_resources)


@dataclass(frozen=True)
class Change:
    """One VM whose row an observation changed."""

    vm_id: str
    name: str
    status: str
    reason: str | None
    before: str

    @property
    def visible(self) -> bool:
        """Whether a reader sees a difference."""
        then = json.loads(self.before)
        return (then["status"], then["status_reason"]) != (self.status, self.reason)


@dataclass(frozen=True)
class Placed:
    """A VM that is to be kept, on the host it was placed on."""

    vm_id: str
    new: NewVm
    host_id: str
    driver: str | None


@dataclass(frozen=True)
class Share:
    """What a VM held of its host."""

    name: str
    host_id: str
    vcpus: int
    memory: int


async def get_vm(c: Connection, vm_id: str) -> Vm:
    """Return a VM, or raise NotFound."""
    row = await find(c, VMS.get_vm, unknown(vm_id), id=vm_id)
    disks = tuple(build(VmDisk, disk) for disk in row["disks"])
    return build(Vm, {**row, "disks": disks, "networks": tuple(row["networks"])})


async def lock_vm(tx: Transaction, vm_id: str) -> bool:
    """Keep others from beginning anything on a VM until the end of the transaction; False when it is gone."""
    return await tx.fetch_value(VMS.lock_vm, id=vm_id) is not None


def lock_vms(tx: Transaction, vm_ids: Sequence[str]) -> None:
    """Do the same for several, right before the next statement."""
    tx.later(VMS.lock_vms, ids=list(vm_ids))


def update_told(tx: Transaction, told: Mapping[str, str]) -> None:
    """Note the digests of the specs that nodes were told last, by VM; locks the VMs as `lock_vm` does."""
    tx.later(VMS.update_told, told=json.dumps([{"id": vm_id, "digest": told[vm_id]} for vm_id in told]))


async def get_vm_document(c: Connection, vm_id: str) -> str:
    """Return a VM's JSON text, or raise NotFound."""
    return await find_document(c, VMS.get_vm_document, unknown(vm_id), id=vm_id)


async def insert_vms(tx: Transaction, placed: Sequence[Placed]) -> list[Vm]:
    """Keep new VMs and return them in their order; Conflict when a name is taken."""
    rows = await tx.fetch_all(VMS.insert_vms, vms=json.dumps([_fields(each) for each in placed]))
    kept = {row["id"]: row for row in rows}
    for each in placed:
        _insert_disks(tx, each.vm_id, [dataclasses.asdict(disk) for disk in each.new.disks])
    return [_placed(kept[each.vm_id], each.new) for each in placed]


async def update_vm(tx: Transaction, vm_id: str, changes: Mapping[str, Any]) -> None:
    """Change the fields that are there; disks are replaced as a whole."""
    fields = dict(changes)
    disks = fields.pop("disks", None)
    if await tx.fetch_value(VMS.update_vm, id=vm_id, changes=json.dumps(fields)) is None:
        raise unknown(vm_id)
    if disks is not None:
        tx.later(VMS.delete_disks, vm_id=vm_id)
        _insert_disks(tx, vm_id, disks)


async def delete_vm(tx: Transaction, vm_id: str) -> Share:
    """Forget a VM and return what it held of its host; NotFound when it is gone."""
    row = await find(tx, VMS.delete_vm, unknown(vm_id), id=vm_id)
    return build(Share, row)


async def update_observed(tx: Transaction, seen: Iterable[tuple[str, Observation]]) -> list[Change]:
    """Note what nodes (host id, observation) see; an older observation never overwrites a newer one."""
    rows = [_observed(host_id, each) for host_id, each in seen]
    if not rows:
        return []
    ids = [row["vm_id"] for row in rows]
    lock_vms(tx, ids)
    found = await tx.fetch_all(VMS.update_observed, observations=json.dumps(rows), ids=ids)
    return [_change(row) for row in found]


async def update_absent(tx: Transaction, host_id: str, vm_ids: Sequence[str], reason: str) -> list[Change]:
    """Note that a host's node does not have these VMs, unless an operation is about to change that."""
    lock_vms(tx, vm_ids)
    rows = await tx.fetch_all(VMS.update_absent, host_id=host_id, ids=list(vm_ids), reason=reason)
    return [_change(row) for row in rows]


async def list_documents(c: Connection, host_id: str) -> dict[str, tuple[str, str]]:
    """Return name and JSON text of each VM of a host, by id."""
    rows = await c.fetch_all(VMS.list_documents_of_host, host_id=host_id)
    return {row["id"]: (row["name"], row["document"]) for row in rows}


async def list_vm_hosts(c: Connection, vm_ids: Sequence[str]) -> dict[str, str]:
    """Return the host of each of these VMs that is kept here."""
    rows = await c.fetch_all(VMS.list_vm_ids, ids=list(vm_ids))
    return {row["id"]: row["host_id"] for row in rows}


async def get_boot_files(c: Connection, boot_source_id: str) -> Mapping[str, Any] | None:
    """Return kernel, initrd and their pools of a boot source."""
    return await c.fetch_one(VMS.get_boot_files, id=boot_source_id)


async def get_disk_files(c: Connection, object_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return the files behind these objects, by id."""
    if not object_ids:
        return {}
    rows = await c.fetch_all(VMS.get_disk_files, ids=list(object_ids))
    return {row["id"]: row for row in rows}


async def get_root_disk_holder(tx: Transaction, vm_id: str) -> str | None:
    """Return the name of another VM that holds the configured root disk."""
    name: str | None = await tx.fetch_value(VMS.get_root_disk_holder, vm_id=vm_id)
    return name


def unknown(vm_id: str) -> NotFound:
    """The error for a VM that is not there."""
    return NotFound(f"no VM has the id {vm_id}", code="no_such_vm")


def _insert_disks(tx: Transaction, vm_id: str, disks: Sequence[Mapping[str, Any]]) -> None:
    if disks:
        tx.later(VMS.insert_disks, vm_id=vm_id, disks=json.dumps(disks))


def _fields(placed: Placed) -> dict[str, Any]:
    """The columns of a new VM."""
    fields = {name: value for name, value in vars(placed.new).items() if name != "disks"}
    return fields | {
        "id": placed.vm_id,
        "host_id": placed.host_id,
        "driver": placed.driver,
        "wanted_driver": placed.new.driver,
    }


def _placed(row: Mapping[str, Any], new: NewVm) -> Vm:
    return build(Vm, {**row, "shown_status": row["status"], "disks": new.disks, "networks": new.networks})


def _observed(host_id: str, seen: Observation) -> dict[str, Any]:
    return {
        "vm_id": seen.vm_id,
        "host_id": host_id,
        "status": seen.status,
        "reason": seen.reason or None,
        "driver": seen.driver or None,
        "generation": seen.generation,
        "started_at_ms": seen.started_at_ms,
        "digest": seen.spec_digest or None,
    }


def _change(row: Mapping[str, Any]) -> Change:
    return Change(row["id"], row["name"], row["status"], row["status_reason"], row["before"])
