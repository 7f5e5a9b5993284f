"""Disks made on a host: a blank one of a size, or a clone of an object; an operation on the object to be.

A disk whose making was cut off by a crash of the server, or cancelled, is removed again: `take_up` is called
now and then, and settles every open operation that nobody here works on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qarax_server.control import history, pool_hosts
from qarax_server.control.background import Background
from qarax_server.control.core import Core
from qarax_server.database import Event, Transaction
from qarax_server.errors import Conflict, DatabaseUnavailable, Invalid, NotFound, QaraxError
from qarax_server.models import File, Host, Operation, StorageObject, StoragePool
from qarax_server.nodes import files
from qarax_server.store import operations, storage_objects, storage_pools

log = logging.getLogger(__name__)

ACTION = "create_disk"
RETRY_SECONDS = 1.0
CUT_OFF = "the server was restarted before the disk was whole: make it again"


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
        core.cancels[ACTION] = self._cancel

    async def create(self, pool_id: str, operation_id: str, new: Mapping[str, Any]) -> str:
        """Begin to make a disk; return the operation as its GET answers it.

        Raises:
            NotFound: there is no such pool.
            Invalid: no host of the pool is up, or the object to clone does not fit.
            Conflict: the pool has an object or a file of this name, or one is on its way.
        """
        await self._check_no_file(pool_id, new)
        with self._background.beginning(operation_id):
            async with self._database.transaction() as tx:
                plan = await _plan(tx, pool_id, new)
                host = await _maker(tx, plan)
                parameters = {"storage_pool_id": pool_id, "host_id": host.id, **new}
                subject = ("storage_object", plan.object_id, plan.name)
                operation = await operations.insert_operation(
                    tx, subject, ACTION, parameters, files.DISK_SECONDS, operation_id=operation_id
                )
                message = f"host {host.name} makes disk {plan.name} in storage pool {plan.pool.name}"
                tx.record(Event(ACTION, "operation", operation.id, plan.name, message))
                text = await operations.get_operation_document(tx, operation.id)
            self._background.start(operation.id, self._carry(operation, plan, host))
        return text

    async def _check_no_file(self, pool_id: str, new: Mapping[str, Any]) -> None:
        """What is at the path from here on was made for this operation, so to undo it may remove that."""
        async with self._database.transaction() as tx:
            plan = await _plan(tx, pool_id, new)
            host = await _maker(tx, plan)
        with contextlib.suppress(NotFound):  # the pool's directory is not there yet
            if (await files.check_file(self._nodes.of(host), plan.file)).exists:
                sentence = (
                    f"{plan.file.path} is on host {host.name} already: choose another name or remove it"
                )
                raise Conflict(sentence, code="file_exists", errors={"name": [sentence]})

    async def take_up(self) -> None:
        """Settle what nobody here makes: remove the file, fail the operation."""
        async with self._database.connection() as connection:
            left = await operations.list_open_operations(connection, "storage_object")
        for operation in left:
            if operation.id not in self._background:
                self._background.start(operation.id, self._undo(operation))

    async def close(self) -> None:
        """Stop; the next server settles."""
        await self._background.close()

    async def _cancel(self, operation: Operation) -> None:
        """End the making of a disk, and remove what is there of it."""
        await self._background.stop(operation.id)
        async with self._database.connection() as connection:
            now = await operations.get_operation(connection, operation.id)
        if now.status == "running":
            self._background.start(operation.id, self._undo(now))
            await self._background.wait(operation.id)

    async def _carry(self, operation: Operation, plan: Plan, host: Host) -> None:
        clone_of = File(plan.source_pool.path, plan.source.path) if plan.source and plan.source_pool else None
        try:
            await pool_hosts.check_pool(self._database, self._nodes, plan.pool, host)
            node = self._nodes.of(host)
            state = await files.create_disk(node, plan.file, plan.size_bytes, clone_of)
            await self._settle(operation, plan, host, state.size_bytes or plan.size_bytes or 0)
        except QaraxError as error:
            await self._fail(operation, error.message)

    async def _settle(self, operation: Operation, plan: Plan, host: Host, size: int) -> None:
        """The disk is whole: write it down, however long the database is away."""
        while True:
            try:
                await self._complete(operation, plan, host, size)
            except DatabaseUnavailable as error:
                log.warning("disk %s is whole and waits to be written down: %s", plan.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _complete(self, operation: Operation, plan: Plan, host: Host, size: int) -> None:
        new = pool_hosts.new_file(plan.pool, host, plan.name, "disk", size)
        reason = f"{plan.file.path}: {size} bytes"
        async with self._database.transaction() as tx:
            settled = await operations.settle_operation(tx, operation.id, "succeeded", "created", reason)
            if settled is None:  # a commit whose answer was lost
                return
            await storage_objects.insert_storage_object(tx, plan.object_id, new)
            message = f"disk {plan.name} was made in storage pool {plan.pool.name}"
            tx.record(Event("create", "storage_object", plan.object_id, plan.name, message))
            history.record_operation(tx, settled)

    async def _fail(self, operation: Operation, reason: str) -> None:
        async with self._database.transaction() as tx:
            now = await operations.get_operation(tx, operation.id)
            status, reason = ("cancelled", "taken back") if now.cancel_requested else ("failed", reason)
            if settled := await operations.settle_operation(tx, operation.id, status, None, reason):
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
        hosts = [host for host in hosts if host.id == operation.parameters["host_id"]]
        if pool is not None and hosts:
            path = f"{pool.path}/{operation.subject_name}"
            await pool_hosts.delete_everywhere(self._nodes, hosts, pool, path)
        await self._fail(operation, CUT_OFF)


async def _maker(tx: Transaction, plan: Plan) -> Host:
    """A host that has the pool, and the file to clone."""
    home = pool_hosts.home_of(plan.source, plan.source_pool) if plan.source and plan.source_pool else None
    for host in await pool_hosts.hosts_of(tx, plan.pool):
        if home in {None, host.id}:
            return host
    what = f" and the file of {plan.source.name}" if plan.source else ""
    raise Invalid(f"no host that has storage pool {plan.pool.name}{what} is up", code="no_host_up")


async def _plan(tx: Transaction, pool_id: str, new: Mapping[str, Any]) -> Plan:
    pool = await storage_pools.get_storage_pool(tx, pool_id)
    if await storage_objects.get_storage_object_by_name(tx, pool_id, new["name"]):
        sentence = f"storage pool {pool.name} has an object {new['name']}: choose another name"
        raise Conflict(sentence, code="storage_objects_name_taken", errors={"name": [sentence]})
    await pool_hosts.check_path_free(tx, pool, f"{pool.path}/{new['name']}")
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
