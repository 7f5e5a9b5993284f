"""Which host answers for a pool, and what it says of the pool's files.

A pool that names a host is on that one; any other is meant on every host, and who answers speaks for it. What
a host brings or makes in a local pool without a host of its own is on that host alone: its object says so.
"""

from __future__ import annotations

import logging
from typing import Any

from qarax_server.database import Connection, Database, Event, Transaction
from qarax_server.errors import (
    Conflict,
    Invalid,
    NodeTimeout,
    NodeUnavailable,
    NodeUntrusted,
    NotFound,
    OlderFence,
    QaraxError,
)
from qarax_server.models import File, Host, StorageObject, StoragePool
from qarax_server.nodes import files
from qarax_server.nodes.channels import Nodes
from qarax_server.store import storage_objects, storage_pools

log = logging.getLogger(__name__)
MOST_ASKED = 16
"""Hosts that are asked about one file."""


async def hosts_of(connection: Connection, pool: StoragePool) -> list[Host]:
    """List the hosts that answer and have the pool."""
    return await storage_objects.list_pool_hosts(connection, pool.id)


def new_file(pool: StoragePool, host: Host, name: str, object_type: str, size: int) -> dict[str, Any]:
    """The fields of the object that a file becomes which a host has just put into a pool."""
    alone = pool.host_id is None and pool.pool_type == "local"
    return {
        "name": name,
        "storage_pool_id": pool.id,
        "object_type": object_type,
        "size_bytes": size,
        "config": {"path": f"{pool.path}/{name}"},
        "parent_id": None,
        "host_id": host.id if alone else None,
    }


async def check_path_free(tx: Transaction, pool: StoragePool, path: str, *, objects: bool = True) -> None:
    """Refuse a path whose file is an object's, or that a transfer or a disk being made will take.

    Without `objects` they do not stand in the way: one file may be known by two names.

    Raises:
        Conflict: naming whose it is.
    """
    if holders := await storage_objects.list_path_holders(tx, pool.id, path, objects=objects):
        sentence = (
            f"{path} belongs to {', '.join(holders)}: choose another name, or wait for what is under way"
        )
        raise Conflict(sentence, code="path_taken", errors={"name": [sentence]})


def home_of(found: StorageObject, pool: StoragePool) -> str | None:
    """The one host that has an object's file; None: every host that has the pool."""
    return pool.host_id or found.host_id


async def delete_everywhere(nodes: Nodes, hosts: list[Host], pool: StoragePool, path: str) -> int:
    """Remove a file on every host that answers; say how many did."""
    answered = 0
    for host in hosts:
        try:
            await files.delete_file(nodes.of(host), File(pool.path, path))
        except (NodeUnavailable, NodeTimeout) as error:
            log.warning("host %s cannot remove %s: %s", host.name, path, error)
            continue
        answered += 1
    return answered


async def check_object_file(nodes: Nodes, hosts: list[Host], pool: StoragePool, path: str) -> int | None:
    """Return a file's size as a host of its pool sees it; None when no host can be asked.

    Raises:
        Invalid: none of the hosts that answer has such a file.
    """
    asked = []
    for host in hosts[:MOST_ASKED]:
        try:
            state = await files.check_file(nodes.of(host), File(pool.path, path))
        except (NodeUnavailable, NodeTimeout) as error:
            log.info("host %s cannot look at %s: %s", host.name, path, error)
            continue
        except NotFound:
            state = files.FileState(exists=False, size_bytes=0, format="")
        if state.exists:
            return state.size_bytes
        asked.append(host.name)
    if not asked:
        return None
    sentence = f"there is no file {path} on host {', '.join(asked)}"
    raise Invalid(sentence, code="file_missing", errors={"config.path": [sentence]})


async def ask(nodes: Nodes, pool: StoragePool, host: Host, *, look_only: bool = False) -> files.PoolState:
    """Ask a host about a pool; without `look_only` its directory is made when it is missing."""
    source = str(pool.config.get("source") or "")
    return await files.check_pool(nodes.of(host), pool.path, pool.pool_type, source, look_only=look_only)


def blames_pool(error: QaraxError) -> bool:
    """Tell whether a node spoke of the pool: a host that is away, or will not be told, says nothing of it."""
    if isinstance(error, OlderFence | NodeUntrusted | NodeTimeout):
        return False
    return not isinstance(error, NodeUnavailable) or error.code != NodeUnavailable.code


async def check_pool(database: Database, nodes: Nodes, pool: StoragePool, host: Host) -> None:
    """Ask a host about a pool that it is to use, and write down what it says.

    Raises:
        QaraxError: the node refuses the pool, which is in error from here on; or it is away.
    """
    try:
        state = await ask(nodes, pool, host)
    except QaraxError as error:
        if blames_pool(error):
            await settle(database, pool, f"host {host.name}: {error.message}")
        raise
    # what another host has to say against the pool stands until that host is asked again
    if pool.status != "error" or (pool.status_reason or "").startswith(f"host {host.name}: "):
        await settle(database, pool, None, state.capacity_bytes)


async def settle(
    database: Database, pool: StoragePool, trouble: str | None, capacity_bytes: int | None = None
) -> None:
    """Write down a pool's status, with an event when it is another one."""
    status = "error" if trouble else "active"
    if (pool.status, pool.status_reason) == (status, trouble) and pool.capacity_bytes is not None:
        return
    async with database.transaction() as tx:
        before = await tx.snapshot("storage_pool", pool.id)
        if await storage_pools.settle_storage_pool(tx, pool.id, status, trouble, capacity_bytes):
            message = f"storage pool {pool.name}: {trouble or 'its directory is in order'}"
            tx.record(Event("check", "storage_pool", pool.id, pool.name, message, before=before))
