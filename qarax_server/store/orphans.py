"""VMs that nodes have and nobody here knows; deletions that nodes were not told of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import Boot, Orphan, build
from qarax_server.observed import Observation
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find_document

ORPHANS = queries.load("orphans")
WHAT = ("kept", "deleted", "orphan")
LISTING = Listing(ORPHANS.list_orphan_resources, time="first_seen_at", ids=("host_id", "vm_id"))


@dataclass(frozen=True)
class Known:
    """What is known of a host's VMs and of others that were seen on it.

    `homes`: the host of each VM that is kept. `deleted`: ids of VMs whose deletion its node is to be told of.
    `orphans`: ids of those on its list.
    """

    homes: dict[str, str]
    deleted: frozenset[str]
    orphans: frozenset[str]


async def list_known(c: Connection, host_id: str, vm_ids: Sequence[str]) -> Known:
    """Return what is known of a host's VMs and of these."""
    rows = await c.fetch_all(ORPHANS.list_known, host_id=host_id, ids=list(vm_ids))
    of = {what: {row["id"]: row["host_id"] for row in rows if row["what"] == what} for what in WHAT}
    return Known(of["kept"], frozenset(of["deleted"]), frozenset(of["orphan"]))


async def sync_orphans(
    tx: Transaction, host_id: str, orphans: Sequence[Observation]
) -> list[tuple[str, str, str]]:
    """Make the list of a host's orphans this one; return (id, name, `found` or `gone`) of each difference."""
    rows = [{"vm_id": each.vm_id, "name": each.name or each.vm_id, "status": each.status} for each in orphans]
    found = await tx.fetch_all(ORPHANS.sync_orphans, host_id=host_id, orphans=json.dumps(rows))
    return [(row["vm_id"], row["name"], row["change"]) for row in found]


async def insert_orphan(tx: Transaction, host_id: str, seen: Observation) -> bool:
    """Put one on the list; False when it was there."""
    is_new: bool = await tx.fetch_value(
        ORPHANS.insert_orphan,
        host_id=host_id,
        vm_id=seen.vm_id,
        name=seen.name or seen.vm_id,
        status=seen.status,
    )
    return is_new


async def get_orphan(c: Connection, host_id: str, vm_id: str) -> Orphan:
    """Return an orphan, or raise NotFound."""
    return _found(await c.fetch_one(ORPHANS.get_orphan, host_id=host_id, vm_id=vm_id), vm_id)


async def get_orphan_document(c: Connection, host_id: str, vm_id: str) -> str:
    """Return an orphan's JSON text, or raise NotFound."""
    return await find_document(c, ORPHANS.get_orphan_document, _unknown(vm_id), host_id=host_id, vm_id=vm_id)


async def ignore_orphan(tx: Transaction, host_id: str, vm_id: str) -> Orphan:
    """Leave one as it is for good, or raise NotFound."""
    return _found(await tx.fetch_one(ORPHANS.ignore_orphan, host_id=host_id, vm_id=vm_id), vm_id)


async def take_orphan(tx: Transaction, host_id: str, vm_id: str) -> str:
    """Take one off the list for good and return its name, or raise NotFound."""
    name = await delete_orphan(tx, host_id, vm_id)
    if name is None:
        raise _unknown(vm_id)
    return name


async def find_boot_source(c: Connection, host_id: str, boot: Boot, default_parameters: str) -> str | None:
    """Return the id of a boot source that amounts to these files on a host."""
    found: str | None = await c.fetch_value(
        ORPHANS.find_boot_source,
        host_id=host_id,
        kernel=boot.kernel.path,
        initrd=boot.initrd.path if boot.initrd else None,
        cmdline=boot.cmdline,
        default_parameters=default_parameters,
    )
    return found


async def find_objects(c: Connection, host_id: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the ids of the objects that these files of a host are, by path."""
    rows = await c.fetch_all(ORPHANS.find_objects, host_id=host_id, paths=list(paths))
    return {row["path"]: row["id"] for row in rows}


async def delete_orphan(tx: Transaction, host_id: str, vm_id: str) -> str | None:
    """Take one off the list and return its name; None when it is not on it."""
    name: str | None = await tx.fetch_value(ORPHANS.delete_orphan, host_id=host_id, vm_id=vm_id)
    return name


async def insert_tombstone(tx: Transaction, vm_id: str, host_id: str, name: str) -> None:
    """Remember a deletion for when its node returns."""
    await tx.execute(ORPHANS.insert_tombstone, vm_id=vm_id, host_id=host_id, name=name)


async def delete_tombstone(c: Connection, vm_id: str) -> None:
    """The node knows."""
    await c.execute(ORPHANS.delete_tombstone, vm_id=vm_id)


def _found(row: Mapping[str, Any] | None, vm_id: str) -> Orphan:
    if row is None:
        raise _unknown(vm_id)
    return build(Orphan, row)


def _unknown(vm_id: str) -> NotFound:
    return NotFound(f"this host has no orphan with the id {vm_id}", code="no_such_orphan")
