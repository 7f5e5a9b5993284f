"""Storage objects in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import Host, StorageObject, build
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find, find_document

OBJECTS = queries.load("storage_objects")
LISTING = Listing(OBJECTS.list_storage_object_resources)


async def get_storage_object_document(connection: Connection, object_id: str) -> str:
    """Return an object as its GET answers it.

    Raises:
        NotFound: there is no such object.
    """
    return await find_document(
        connection, OBJECTS.get_storage_object_document, _unknown(object_id), id=object_id
    )


async def get_storage_object(connection: Connection, object_id: str, *, lock: bool = False) -> StorageObject:
    """Return an object; with `lock`, nothing new can refer to it until the end of the transaction.

    Raises:
        NotFound: there is no such object.
    """
    statement = OBJECTS.lock_storage_object if lock else OBJECTS.get_storage_object
    row = await find(connection, statement, _unknown(object_id), id=object_id)
    return build(StorageObject, row)


async def get_storage_object_by_name(connection: Connection, pool_id: str, name: str) -> StorageObject | None:
    """Return the object of a name in a pool, or None."""
    row = await connection.fetch_one(OBJECTS.get_storage_object_by_name, pool_id=pool_id, name=name)
    return build(StorageObject, row) if row else None


async def insert_storage_object(tx: Transaction, object_id: str, new: Mapping[str, Any]) -> None:
    """Insert an object; `new` has the fields of NewStorageObject."""
    await tx.execute(
        OBJECTS.insert_storage_object, **{**new, "id": object_id, "config": json.dumps(new["config"])}
    )


async def list_storage_object_users(tx: Transaction, object_id: str) -> list[str]:
    """Name what stands in the way of deleting an object."""
    return [row["who"] for row in await tx.fetch_all(OBJECTS.list_storage_object_users, id=object_id)]


async def list_path_holders(tx: Transaction, pool_id: str, path: str, *, objects: bool) -> list[str]:
    """Name the transfers, disks being made and, if asked for, `objects` at a path; locks the path."""
    await tx.execute(OBJECTS.lock_path, path=path)
    rows = await tx.fetch_all(OBJECTS.list_path_holders, pool_id=pool_id, path=path, objects=objects)
    return [row["who"] for row in rows]


async def delete_storage_object(tx: Transaction, object_id: str) -> None:
    """Delete an object that nobody uses."""
    await tx.execute(OBJECTS.delete_storage_object, id=object_id)


async def list_pool_hosts(connection: Connection, pool_id: str) -> list[Host]:
    """List the hosts that answer and have a pool."""
    return [build(Host, row) for row in await connection.fetch_all(OBJECTS.list_pool_hosts, pool_id=pool_id)]


def _unknown(object_id: str) -> NotFound:
    return NotFound(f"no storage object has the id {object_id}", code="no_such_storage_object")
