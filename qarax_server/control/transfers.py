"""Transfers: pending → running → completed or failed, carried by one background task each.

    POST ──▶ pending ──a host of the pool is up──▶ running ──file in place──▶ completed, and an object
                └──────── cancel, no host, refusal of the node ────────────▶ failed, and nothing is left

The row is the truth: after a crash of the server every open transfer is taken up again, from its beginning.
A node whose call is gone ends its part and removes its temporary file. Next step: `nodes/files.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from qarax_server import caller
from qarax_server.control import pool_hosts
from qarax_server.control.background import Background
from qarax_server.control.core import Core
from qarax_server.database import Event, Transaction
from qarax_server.errors import (
    Conflict,
    DatabaseUnavailable,
    Invalid,
    NodeTimeout,
    NodeUnavailable,
    NotActive,
    QaraxError,
)
from qarax_server.models import File, Host, StoragePool, Transfer
from qarax_server.nodes import files
from qarax_server.store import storage_objects, storage_pools, transfers

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
HOST_WAIT_SECONDS = 60.0
HOST_POLL_SECONDS = 0.5
ATTEMPTS = 3
RETRY_SECONDS = 2.0


class Transfers:
    """The transfers that this server carries."""

    def __init__(self, core: Core) -> None:
        self._database = core.database
        self._nodes = core.nodes
        self._allowed_networks = core.settings.application.allowed_networks
        self._background = Background()

    async def create(self, pool_id: str, transfer_id: str, new: Mapping[str, Any]) -> str:
        """Note a transfer and begin it; return it as its GET answers it.

        Raises:
            NotFound: there is no such pool.
            Conflict: an object, or what is under way, has that name in the pool or that path.
            Invalid: the pool is full.
        """
        with self._background.beginning(transfer_id):
            async with self._database.transaction() as tx:
                pool = await storage_pools.get_storage_pool(tx, pool_id)
                await _check_free(tx, pool, new["name"])
                await pool_hosts.check_path_free(tx, pool, f"{pool.path}/{new['name']}")
                await transfers.insert_transfer(tx, transfer_id, {**new, "storage_pool_id": pool_id})
                text = await transfers.get_transfer_document(tx, pool_id, transfer_id)
                message = (
                    f"transfer of {new['source']} to {new['name']} in storage pool {pool.name} was asked for"
                )
                tx.record(Event("create", "transfer", transfer_id, new["name"], message))
            self._background.start(transfer_id, self._carry(transfer_id, pool))
        return text

    async def cancel(self, pool_id: str, transfer_id: str) -> str:
        """Fail a transfer that has not ended; return it as its GET answers it.

        Raises:
            NotFound: the pool has no such transfer.
            Conflict: it has ended already, and not by a cancel.
        """
        async with self._database.transaction() as tx:
            text = await transfers.get_transfer_document(tx, pool_id, transfer_id)
            found = await transfers.lock_transfer(tx, transfer_id)
            if found is not None and found.status in {"pending", "running"}:
                await _fail(tx, found, f"cancelled by {caller.current().actor}", "cancel")
                text = await transfers.get_transfer_document(tx, pool_id, transfer_id)
            elif found is not None and not (found.error_message or "").startswith("cancelled by"):
                raise Conflict(f"transfer {found.name} has ended: it is {found.status}", code="wrong_state")
        self._background.cancel(transfer_id)
        await self._background.wait(transfer_id)
        return text

    async def take_up(self) -> None:
        """Carry the open transfers that nobody carries: those of a server that is gone."""
        async with self._database.connection() as connection:
            for each in await transfers.list_open_transfers(connection):
                if each.id not in self._background:
                    log.info("transfer %s of %s is taken up again", each.id, each.source)
                    pool = await storage_pools.get_storage_pool(connection, each.storage_pool_id)
                    self._background.start(each.id, self._carry(each.id, pool))

    async def close(self) -> None:
        """Stop carrying; open transfers are taken up by the next server."""
        await self._background.close()

    async def _carry(self, transfer_id: str, pool: StoragePool) -> None:
        """Bring one transfer to its end, through absences of its node and of the database."""
        failures, reason = 0, ""
        while True:
            try:
                await (
                    self._settle_failed(transfer_id, reason) if reason else self._attempt(transfer_id, pool)
                )
            except (NodeUnavailable, NodeTimeout) as error:
                log.warning("transfer %s: %s", transfer_id, error)
                failures += 1
                reason = error.message if failures == ATTEMPTS else ""
            except DatabaseUnavailable as error:
                log.warning("transfer %s waits: %s", transfer_id, error)
            except NotActive as error:
                log.warning("transfer %s is left to the active server: %s", transfer_id, error)
                return
            except QaraxError as error:
                reason = error.message
                continue
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _attempt(self, transfer_id: str, pool: StoragePool) -> None:
        host = await self._wait_for_host(pool)
        await pool_hosts.check_pool(self._database, self._nodes, pool, host)
        async with self._database.transaction() as tx:
            transfer = await transfers.lock_transfer(tx, transfer_id)
            if transfer is None or not await transfers.begin_transfer(tx, transfer_id, host.id):
                return
            imports = await transfers.list_import_paths(tx, host.id)
            message = f"host {host.name} brings {transfer.name} from {transfer.source}"
            tx.record(Event("start", "transfer", transfer_id, transfer.name, message))
        order = self._order(transfer, pool, imports)
        size = await self._follow(transfer, host, order)
        await self._settle_completed(transfer_id, pool, host, size)

    async def _wait_for_host(self, pool: StoragePool) -> Host:
        deadline = time.monotonic() + HOST_WAIT_SECONDS
        while True:
            async with self._database.connection() as connection:
                hosts = await pool_hosts.hosts_of(connection, pool)
            if hosts:
                return hosts[0]
            if time.monotonic() > deadline:
                raise Invalid(
                    f"no host that has storage pool {pool.name} was up for {HOST_WAIT_SECONDS:.0f} s"
                )
            await asyncio.sleep(HOST_POLL_SECONDS)

    def _order(self, transfer: Transfer, pool: StoragePool, imports: list[str]) -> files.TransferOrder:
        room = 0 if pool.capacity_bytes is None else max(pool.capacity_bytes - pool.allocated_bytes, 1)
        return files.TransferOrder(
            transfer_id=transfer.id,
            destination=File(pool.path, f"{pool.path}/{transfer.name}"),
            source=transfer.source,
            transfer_type=transfer.transfer_type,
            size_limit_bytes=room,
            sha256=transfer.sha256 or "",
            allowed_networks=self._allowed_networks,
            import_pools=imports,
        )

    async def _follow(self, transfer: Transfer, host: Host, order: files.TransferOrder) -> int:
        """Write the progress down now and then; return the size of the file that is in place."""
        written = time.monotonic()
        async with aclosing(files.transfer_file(self._nodes.of(host), order)) as stream:
            async for progress in stream:
                if progress.done:
                    return progress.transferred_bytes
                if time.monotonic() - written >= PROGRESS_SECONDS:
                    await self._note(transfer, progress)
                    written = time.monotonic()
        raise NodeUnavailable(f"host {host.name} ended the transfer without a word")

    async def _note(self, transfer: Transfer, progress: files.Progress) -> None:
        async with self._database.transaction() as tx:
            so_far, total = progress.transferred_bytes, progress.total_bytes
            if await transfers.update_transfer_progress(tx, transfer.id, so_far, total):
                message = f"{transfer.name}: {so_far} of {total or 'unknown'} bytes"
                tx.record(Event("progress", "transfer", transfer.id, transfer.name, message))

    async def _settle_completed(self, transfer_id: str, pool: StoragePool, host: Host, size: int) -> None:
        async with self._database.transaction() as tx:
            transfer = await transfers.lock_transfer(tx, transfer_id)
            if transfer is not None and transfer.status == "running":
                await _complete(tx, transfer, pool, host, size)
                return
        if transfer is not None and transfer.status == "failed":
            # cancelled at the last moment, when its file was in place already: nothing is to be left
            path = f"{pool.path}/{transfer.name}"
            await files.delete_file(self._nodes.of(host), File(pool.path, path))

    async def _settle_failed(self, transfer_id: str, reason: str) -> None:
        async with self._database.transaction() as tx:
            transfer = await transfers.lock_transfer(tx, transfer_id)
            if transfer is not None and transfer.status in {"pending", "running"}:
                await _fail(tx, transfer, reason, "fail")


async def _check_free(tx: Transaction, pool: StoragePool, name: str) -> None:
    if await storage_objects.get_storage_object_by_name(tx, pool.id, name):
        sentence = f"storage pool {pool.name} has an object {name}: choose another name or delete it first"
        raise Conflict(sentence, code="storage_objects_name_taken", errors={"name": [sentence]})
    if pool.capacity_bytes is not None and pool.allocated_bytes >= pool.capacity_bytes:
        raise Invalid(
            f"storage pool {pool.name} is full: {pool.allocated_bytes} of {pool.capacity_bytes} bytes"
        )


async def _complete(tx: Transaction, transfer: Transfer, pool: StoragePool, host: Host, size: int) -> None:
    object_id = str(uuid.uuid4())
    new = pool_hosts.new_file(pool, host, transfer.name, transfer.object_type, size)
    before = await tx.snapshot("transfer", transfer.id)
    await storage_objects.insert_storage_object(tx, object_id, new)
    await transfers.complete_transfer(tx, transfer.id, object_id, size)
    message = f"{transfer.name} is in storage pool {pool.name} on host {host.name}: {size} bytes"
    tx.record(Event("create", "storage_object", object_id, transfer.name, message))
    tx.record(Event("complete", "transfer", transfer.id, transfer.name, message, before=before))


async def _fail(tx: Transaction, transfer: Transfer, reason: str, action: str) -> None:
    before = await tx.snapshot("transfer", transfer.id)
    await transfers.fail_transfer(tx, transfer.id, reason)
    message = f"transfer of {transfer.name} failed: {reason}"
    tx.record(Event(action, "transfer", transfer.id, transfer.name, message, before=before))
