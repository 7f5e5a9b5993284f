"""Disks made on a host: a blank one of a size, or a clone of an object; an operation on the object to be.

A disk whose making was cut off by a crash of the server is removed and its operation failed: `take_up`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qarax_server.control import history, pool_hosts
from qarax_server.control.background import Background
from qarax_server.control.core import Core
from qarax_server.database import Event, Transaction
from qarax_server.errors import Conflict, Invalid, NotFound, QaraxError
from qarax_server.models import File, Host, Operation, StorageObject, StoragePool
from qarax_server.nodes import files
from qarax_server.store import disks, operations, storage_objects, storage_pools

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A disk to be made."""

    object_id: str
    name: str
    pool: StoragePool
    size_bytes: int | None
    source: StorageObject | None
    source_pool: StoragePool | None

    @property
    def file(self) -> File:
        """Where it will be."""
        return File(self.pool.path, f"{self.pool.path}/{self.name}")


class Disks:
    """The disks that this server is making."""

    def __init__(self, core: Core) -> None:
        self._database = core.database
        self._nodes = core.nodes
        self._background = Background()

    async def create(self, pool_id: str, operation_id: str, new: Mapping[str, Any]) -> str:
        """Begin to make a disk; return the operation as its GET answers it.

        Raises:
            NotFound: there is no such pool.
            Invalid: no host of the pool is up, or the object to clone does not fit.
            Conflict: the pool has an object of this name.
        """
        async with self._database.transaction() as tx:
            plan = await _plan(tx, pool_id, new)
            hosts = await pool_hosts.hosts_of(tx, plan.pool)
            if not hosts:
                raise Invalid(f"no host that has storage pool {plan.pool.name} is up", code="no_host_up")
            parameters = {"storage_pool_id": pool_id, **new}
            subject = (plan.object_id, plan.name)
            operation = await disks.insert_disk_operation(
                tx, operation_id, subject, parameters, files.DISK_SECONDS
            )
            message = f"disk {plan.name} is being made in storage pool {plan.pool.name}"
            tx.record(Event(disks.ACTION, "operation", operation.id, plan.name, message))
            text = await operations.get_operation_document(tx, operation.id)
        self._background.start(operation.id, self._carry(operation, plan, hosts[0]))
        return text

    async def take_up(self) -> None:
        """Settle what a server that is gone was making: remove the file, fail the operation."""
        async with self._database.connection() as connection:
            for operation in await disks.list_open_disk_operations(connection):
                if operation.id not in self._background:
                    self._background.start(operation.id, self._undo(operation))

    async def close(self) -> None:
        """Stop; the next server settles."""
        await self._background.close()

    async def _carry(self, operation: Operation, plan: Plan, host: Host) -> None:
        clone_of = File(plan.source_pool.path, plan.source.path) if plan.source and plan.source_pool else None
        try:
            await pool_hosts.check_pool(self._database, self._nodes, plan.pool, host)
            node = self._nodes.of(host)
            state = await files.create_disk(node, plan.file, plan.size_bytes, clone_of)
            await self._complete(operation, plan, state.size_bytes or plan.size_bytes or 0)
        except QaraxError as error:
            await self._fail(operation, error.message)

    async def _complete(self, operation: Operation, plan: Plan, size: int) -> None:
        new = {
            "name": plan.name,
            "storage_pool_id": plan.pool.id,
            "object_type": "disk",
            "size_bytes": size,
            "config": {"path": plan.file.path},
            "parent_id": None,
        }
        async with self._database.transaction() as tx:
            await storage_objects.insert_storage_object(tx, plan.object_id, new)
            message = f"disk {plan.name} was made in storage pool {plan.pool.name}"
            tx.record(Event("create", "storage_object", plan.object_id, plan.name, message))
            reason = f"{plan.file.path}: {size} bytes"
            if settled := await operations.settle_operation(tx, operation.id, "succeeded", "created", reason):
                history.record_operation(tx, settled)

    async def _fail(self, operation: Operation, reason: str) -> None:
        async with self._database.transaction() as tx:
            if settled := await operations.settle_operation(tx, operation.id, "failed", None, reason):
                history.record_operation(tx, settled)

    async def _undo(self, operation: Operation) -> None:
        async with self._database.connection() as connection:
            try:
                pool = await storage_pools.get_storage_pool(
                    connection, str(operation.parameters["storage_pool_id"])
                )
            except NotFound:
                pool = None
            hosts = await pool_hosts.hosts_of(connection, pool) if pool else []
        if pool is not None and hosts:
            path = f"{pool.path}/{operation.subject_name}"
            await pool_hosts.delete_everywhere(self._nodes, hosts, pool, path)
        await self._fail(operation, "the server was restarted before the disk was whole: make it again")


async def _plan(tx: Transaction, pool_id: str, new: Mapping[str, Any]) -> Plan:
    pool = await storage_pools.get_storage_pool(tx, pool_id)
    if await storage_objects.get_storage_object_by_name(tx, pool_id, new["name"]):
        sentence = f"storage pool {pool.name} has an object {new['name']}: choose another name"
        raise Conflict(sentence, code="storage_objects_name_taken", errors={"name": [sentence]})
    source = source_pool = None
    if new["source_object_id"]:
        try:
            source = await storage_objects.get_storage_object(tx, new["source_object_id"])
        except NotFound as error:
            raise Invalid(
                error.message, code=error.code, errors={"source_object_id": [error.message]}
            ) from error
        source_pool = await storage_pools.get_storage_pool(tx, source.storage_pool_id)
    return Plan(str(uuid.uuid4()), new["name"], pool, new["size_bytes"], source, source_pool)
