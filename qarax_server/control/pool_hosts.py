"""Which host answers for a pool, and what it says of the pool's files.

A pool that names a host is on that one; any other is meant on every host, and who answers speaks for it.
"""

from __future__ import annotations

import logging

from qarax_server.database import Connection, Database, Event
from qarax_server.errors import Invalid, NodeTimeout, NodeUnavailable, NotFound, QaraxError
from qarax_server.models import File, Host, StoragePool
from qarax_server.nodes import files
from qarax_server.nodes.channels import Nodes
from qarax_server.store import storage_objects, storage_pools

log = logging.getLogger(__name__)
MOST_ASKED = 16
"""Hosts that are asked about one file."""


async def hosts_of(connection: Connection, pool: StoragePool) -> list[Host]:
    """List the hosts that answer and have the pool."""
    return await storage_objects.list_pool_hosts(connection, pool.id)


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


async def check_pool(database: Database, nodes: Nodes, pool: StoragePool, host: Host) -> None:
    """Ask a host about a pool and write down what it says; a host that is away says nothing of it.

    Raises:
        QaraxError: the node refuses the pool; it is in error from here on.
    """
    source = str(pool.config.get("nfs_source") or "")
    try:
        state = await files.check_pool(nodes.of(host), pool.path, pool.pool_type, source)
    except NodeUnavailable as error:
        if error.code != NodeUnavailable.code:  # the node itself said so
            await settle(database, pool, f"host {host.name}: {error.message}")
        raise
    except QaraxError as error:
        # silence about one pool while the host answers otherwise: its storage stalls
        await settle(database, pool, f"host {host.name}: {error.message}")
        raise
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


async def check_all(database: Database, nodes: Nodes) -> None:
    """Ask about every pool in use, on one host each; the status of those that answer nothing stays."""
    async with database.connection() as connection:
        pools = await storage_pools.list_storage_pools_to_check(connection)
        hosts = {pool.id: await hosts_of(connection, pool) for pool in pools}
    for pool in pools:
        if not hosts[pool.id]:
            continue
        try:
            await check_pool(database, nodes, pool, hosts[pool.id][0])
        except QaraxError as error:
            log.info("storage pool %s: %s", pool.name, error)
