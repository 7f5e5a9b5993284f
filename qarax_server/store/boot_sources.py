"""Boot sources in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qarax_server import queries
from qarax_server.database import Connection, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import BootSource, build
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find, find_document

SOURCES = queries.load("boot_sources")
LISTING = Listing(SOURCES.list_boot_source_resources)


async def get_boot_source_document(connection: Connection, boot_source_id: str) -> str:
    """Return a boot source as its GET answers it.

    Raises:
        NotFound: there is no such boot source.
    """
    return await find_document(
        connection, SOURCES.get_boot_source_document, _unknown(boot_source_id), id=boot_source_id
    )


async def lock_boot_source(tx: Transaction, boot_source_id: str) -> BootSource:
    """Return a boot source that nothing new can refer to until the end of the transaction.

    Raises:
        NotFound: there is no such boot source.
    """
    row = await find(tx, SOURCES.lock_boot_source, _unknown(boot_source_id), id=boot_source_id)
    return build(BootSource, row)


async def insert_boot_source(tx: Transaction, boot_source_id: str, new: Mapping[str, Any]) -> None:
    """Insert a boot source; `new` has the fields of NewBootSource."""
    await tx.execute(SOURCES.insert_boot_source, **{**new, "id": boot_source_id})


async def list_boot_source_users(tx: Transaction, boot_source_id: str) -> list[str]:
    """Name what stands in the way of deleting a boot source."""
    return [row["who"] for row in await tx.fetch_all(SOURCES.list_boot_source_users, id=boot_source_id)]


async def delete_boot_source(tx: Transaction, boot_source_id: str) -> None:
    """Delete a boot source that no VM uses."""
    await tx.execute(SOURCES.delete_boot_source, id=boot_source_id)


def _unknown(boot_source_id: str) -> NotFound:
    return NotFound(f"no boot source has the id {boot_source_id}", code="no_such_boot_source")
