"""Storage pools in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import StoragePool, build
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find, find_document

POOLS = queries.load("storage_pools")
LISTING = Listing(POOLS.list_storage_pool_resources)


async def get_storage_pool_document(connection: Connection, pool_id: str) -> str:
    """Return a pool as its GET answers it.

    Raises:
        NotFound: there is no such pool.
    """
    return await find_document(connection, POOLS.get_storage_pool_document, _unknown(pool_id), id=pool_id)


async def get_storage_pool(connection: Connection, pool_id: str, *, lock: bool = False) -> StoragePool:
    """Return a pool; with `lock`, nothing new can refer to it until the end of the transaction.

    Raises:
        NotFound: there is no such pool.
    """
    statement = POOLS.lock_storage_pool if lock else POOLS.get_storage_pool
    row = await find(connection, statement, _unknown(pool_id), id=pool_id)
    return build(StoragePool, row)


async def insert_storage_pool(tx: Transaction, pool_id: str, new: Mapping[str, Any]) -> None:
    """Insert a pool; `new` has the fields of NewStoragePool."""
    await tx.execute(POOLS.insert_storage_pool, **{**new, "id": pool_id, "config": json.dumps(new["config"])})


async def list_storage_pool_users(tx: Transaction, pool_id: str) -> list[str]:
    """Name what stands in the way of deleting a pool."""
    return [row["who"] for row in await tx.fetch_all(POOLS.list_storage_pool_users, id=pool_id)]


async def delete_storage_pool(tx: Transaction, pool_id: str) -> None:
    """Delete a pool that nobody uses, with its finished transfers."""
    await tx.execute(POOLS.delete_storage_pool_transfers, id=pool_id)
    await tx.execute(POOLS.delete_storage_pool, id=pool_id)


async def settle_storage_pool(
    tx: Transaction, pool_id: str, status: str, status_reason: str | None, capacity_bytes: int | None
) -> bool:
    """Write down what a node says of a pool; say whether that is anything new."""
    changed = await tx.execute(
        POOLS.settle_storage_pool,
        id=pool_id,
        status=status,
        status_reason=status_reason,
        capacity_bytes=capacity_bytes,
    )
    return changed > 0


async def list_all_storage_pools(connection: Connection) -> list[StoragePool]:
    """List every pool, the oldest first."""
    return [build(StoragePool, row) for row in await connection.fetch_all(POOLS.list_all_storage_pools)]


def _unknown(pool_id: str) -> NotFound:
    return NotFound(f"no storage pool has the id {pool_id}", code="no_such_storage_pool")
