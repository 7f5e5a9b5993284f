"""Transfers in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import Transfer, build
from qarax_server.store.forgetting import forget
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find_document

TRANSFERS = queries.load("transfers")
LISTING = Listing(TRANSFERS.list_transfer_resources)


async def get_transfer_document(connection: Connection, pool_id: str, transfer_id: str) -> str:
    """Return a transfer of a pool as its GET answers it.

    Raises:
        NotFound: the pool has no such transfer.
    """
    return await find_document(
        connection,
        TRANSFERS.get_transfer_document,
        NotFound(f"the storage pool has no transfer with the id {transfer_id}", code="no_such_transfer"),
        id=transfer_id,
        pool_id=pool_id,
    )


async def lock_transfer(tx: Transaction, transfer_id: str) -> Transfer | None:
    """Return a transfer that nobody else settles until the end of the transaction; None: it is gone."""
    row = await tx.fetch_one(TRANSFERS.lock_transfer, id=transfer_id)
    return build(Transfer, row) if row else None


async def list_open_transfers(connection: Connection) -> list[Transfer]:
    """List those that have not ended."""
    return [build(Transfer, row) for row in await connection.fetch_all(TRANSFERS.list_open_transfers)]


async def insert_transfer(tx: Transaction, transfer_id: str, new: Mapping[str, Any]) -> None:
    """Insert a transfer; `new` has the fields of NewTransfer, its type and its pool."""
    await tx.execute(TRANSFERS.insert_transfer, **{**new, "id": transfer_id})


async def begin_transfer(tx: Transaction, transfer_id: str, host_id: str) -> bool:
    """Note the host that has taken it up; say whether it was still open."""
    return await tx.execute(TRANSFERS.begin_transfer, id=transfer_id, host_id=host_id) > 0


async def update_transfer_progress(
    tx: Transaction, transfer_id: str, transferred_bytes: int, total_bytes: int | None
) -> bool:
    """Note how far it has come; say whether it still runs."""
    changed = await tx.execute(
        TRANSFERS.update_transfer_progress,
        id=transfer_id,
        transferred_bytes=transferred_bytes,
        total_bytes=total_bytes,
    )
    return changed > 0


async def complete_transfer(tx: Transaction, transfer_id: str, object_id: str, size_bytes: int) -> bool:
    """End it with an object; say whether it was still open."""
    changed = await tx.execute(
        TRANSFERS.complete_transfer, id=transfer_id, storage_object_id=object_id, size_bytes=size_bytes
    )
    return changed > 0


async def fail_transfer(tx: Transaction, transfer_id: str, error_message: str) -> bool:
    """End it without a file; say whether it was still open."""
    return await tx.execute(TRANSFERS.fail_transfer, id=transfer_id, error_message=error_message) > 0


async def delete_old_transfers(c: Connection, days: int) -> int:
    """Forget what ended long ago, and return how many went."""
    return await forget(c, TRANSFERS.delete_old_transfers, days=days)


async def list_import_paths(connection: Connection, host_id: str) -> list[str]:
    """List the directories of all pools a host has."""
    return [row["path"] for row in await connection.fetch_all(TRANSFERS.list_import_paths, host_id=host_id)]
