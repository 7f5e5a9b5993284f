"""Making and deleting storage objects: what is checked on a host, and what stands in the way.

A new object's file is looked at before its row is inserted: no transaction waits for a node there. A file
that goes with its object is removed inside the transaction, while nobody can begin to use the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from qarax_server.control import pool_hosts
from qarax_server.control.core import Core
from qarax_server.database import Connection, Event, Transaction
from qarax_server.errors import Conflict, InUse, Invalid, NodeUnavailable, NotFound
from qarax_server.models import StorageObject, StoragePool
from qarax_server.store import storage_objects, storage_pools


async def create(core: Core, object_id: str, new: Mapping[str, Any]) -> str:
    """Insert an object after a look at its file; return it as its GET answers it.

    Raises:
        Invalid: the pool or parent is unknown, the path is outside the pool, the file is missing.
        Conflict: the pool has an object of this name, or something is under way at its path.
    """
    async with core.database.connection() as connection:
        pool = await _pool(connection, new["storage_pool_id"])
        hosts = await pool_hosts.hosts_of(connection, pool)
    config = dict(new["config"] or {})
    config["path"] = config.get("path") or f"{pool.path}/{new['name']}"
    check_inside(config["path"], pool)
    size = await pool_hosts.check_object_file(core.nodes, hosts, pool, config["path"])
    values = {**new, "config": config, "size_bytes": new["size_bytes"] or size or 0, "host_id": None}
    async with core.database.transaction() as tx:
        await pool_hosts.check_path_free(tx, pool, config["path"], objects=False)
        await storage_objects.insert_storage_object(tx, object_id, values)
        text = await storage_objects.get_storage_object_document(tx, object_id)
        message = f"{new['object_type']} {new['name']} was made known in storage pool {pool.name}"
        tx.record(Event("create", "storage_object", object_id, new["name"], message))
    return text


async def delete(core: Core, object_id: str, *, with_file: bool) -> None:
    """Forget an object that nobody uses, after removing its file when asked to.

    Raises:
        InUse: the message says by whom.
        NodeUnavailable: the file was to be removed and no host of the pool answers.
    """
    async with core.database.transaction() as tx:
        found = await storage_objects.get_storage_object(tx, object_id, lock=True)
        if users := await storage_objects.list_storage_object_users(tx, object_id):
            raise InUse(f"storage object {found.name}", users)
        pool = await storage_pools.get_storage_pool(tx, found.storage_pool_id)
        if with_file:
            await _check_file_of_nobody_else(tx, found, pool)
            home = pool_hosts.home_of(found, pool)
            hosts = [host for host in await pool_hosts.hosts_of(tx, pool) if home in {None, host.id}]
            if not await pool_hosts.delete_everywhere(core.nodes, hosts, pool, found.path):
                raise NodeUnavailable(f"no host of storage pool {pool.name} answers to remove {found.path}")
        before = await tx.snapshot("storage_object", object_id)
        await storage_objects.delete_storage_object(tx, object_id)
        message = f"storage object {found.name} was deleted{' with its file' if with_file else ''}"
        tx.record(Event("delete", "storage_object", object_id, found.name, message, before=before))


async def _check_file_of_nobody_else(tx: Transaction, found: StorageObject, pool: StoragePool) -> None:
    holders = await storage_objects.list_path_holders(tx, pool.id, found.path, objects=True)
    holders.remove(f"storage object {found.name}")
    if holders:
        raise Conflict(
            f"{found.path} belongs to {', '.join(holders)} too: leave out delete_file, and the file stays",
            code="path_taken",
        )


def check_inside(path: str, pool: StoragePool) -> None:
    """Refuse a path outside the pool; symlinks are the node's to see.

    Raises:
        Invalid: naming path and pool.
    """
    if PurePosixPath(pool.path) not in PurePosixPath(path).parents:
        sentence = f"{path} is not inside {pool.path}, the path of storage pool {pool.name}"
        raise Invalid(sentence, code="path_outside_pool", errors={"config.path": [sentence]})


async def _pool(connection: Connection, pool_id: str) -> StoragePool:
    try:
        return await storage_pools.get_storage_pool(connection, pool_id)
    except NotFound as error:
        raise Invalid(error.message, code=error.code, errors={"storage_pool_id": [error.message]}) from error
