"""The calls about pools, files, transfers and disks: blocking work in threads, each with a deadline."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from qarax_proto import node_pb2

from qarax_node.errors import NodeError
from qarax_node.rpc.consoles import ConsoleCalls
from qarax_node.rpc.errors import translated
from qarax_node.storage import pools, threads, transfers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from qarax_node.rpc.errors import Context

STORAGE_SECONDS = 10.0
LOOK_SECONDS = 4.0
"""Less than the server waits: the node's own words about a pool arrive."""
DISK_SECONDS = 3600.0
PROGRESS_SECONDS = 0.25


class StorageCalls(ConsoleCalls):
    """The part of the service that is about storage; the whole service, as the last of its parts."""

    async def CheckPool(self, request: node_pb2.CheckPoolRequest, context: Context) -> node_pb2.PoolState:
        async with translated(context, "CheckPool"):
            if not request.look_only:
                self._may_change(request.fence)
            found = await threads.run(
                request.path,
                LOOK_SECONDS,
                lambda: pools.check_pool(
                    request.path, request.pool_type, request.nfs_source, look_only=request.look_only
                ),
            )
            return node_pb2.PoolState(capacity_bytes=found.capacity, available_bytes=found.available)

    async def CheckFile(self, request: node_pb2.CheckFileRequest, context: Context) -> node_pb2.FileState:
        async with translated(context, "CheckFile"):
            file = request.file
            found = await threads.run(
                file.pool_path, STORAGE_SECONDS, lambda: pools.check_file(file.pool_path, file.path)
            )
            return _file_state(found)

    async def DeleteFile(
        self, request: node_pb2.DeleteFileRequest, context: Context
    ) -> node_pb2.DeleteFileResponse:
        async with translated(context, "DeleteFile"):
            self._may_change(request.fence)
            file = request.file
            self._refuse_used(file)
            await threads.run(
                file.pool_path, STORAGE_SECONDS, lambda: pools.delete_file(file.pool_path, file.path)
            )
            return node_pb2.DeleteFileResponse()

    def _refuse_used(self, file: node_pb2.FileReference) -> None:
        """A hypervisor opens its files by path again at each guest reboot: they stay while it runs."""
        for machine in self.host.machines():
            spec = machine.spec
            used = {spec.kernel, spec.initrd, *(disk.path for disk in spec.disks)}
            if machine.run is not None and Path(file.path) in used:
                raise NodeError(
                    f"{file.path} is in use by the running VM {spec.name}; stop it first",
                    code="file_in_use",
                    kind="state",
                )

    async def CreateDisk(self, request: node_pb2.CreateDiskRequest, context: Context) -> node_pb2.FileState:
        async with translated(context, "CreateDisk"):
            self._may_change(request.fence)
            to, source = request.destination, request.clone_of
            clone_of = (source.pool_path, source.path) if request.HasField("clone_of") else None
            made = await threads.run(
                to.pool_path,
                DISK_SECONDS,
                lambda: pools.create_disk(to.pool_path, to.path, request.size_bytes, clone_of),
            )
            return _file_state(made)

    async def TransferFile(
        self, request: node_pb2.TransferFileRequest, context: Context
    ) -> AsyncIterator[node_pb2.TransferProgress]:
        async with translated(context, "TransferFile"):
            self._may_change(request.fence)
            self._refuse_used(request.destination)
            told, transferred, total = 0.0, 0, 0
            async with contextlib.aclosing(self._transfer(request)) as steps:
                async for step in steps:
                    transferred, total = step.transferred, step.total
                    if time.monotonic() - told >= PROGRESS_SECONDS:
                        told = time.monotonic()
                        yield node_pb2.TransferProgress(transferred_bytes=transferred, total_bytes=total)
            yield node_pb2.TransferProgress(transferred_bytes=transferred, total_bytes=total, done=True)

    async def _transfer(
        self, request: node_pb2.TransferFileRequest
    ) -> AsyncGenerator[transfers.Progress, None]:
        order = transfers.Order(
            pool_path=request.destination.pool_path,
            path=request.destination.path,
            source=request.source,
            size_limit=request.size_limit_bytes,
            sha256=request.sha256,
            allowed_networks=tuple(request.allowed_networks),
        )
        if request.transfer_type == "local_copy":
            roots = [*map(Path, request.import_pools), *self.host.settings.import_dirs]
            steps = transfers.copy(order, roots)
        elif request.transfer_type == "download":
            from qarax_node.storage import downloads  # noqa: PLC0415  9 MB that most nodes never need

            steps = downloads.download(order)
        else:
            raise NodeError(
                "transfer_type must be download or local_copy", code="transfer_type", field="source"
            )
        async for step in steps:
            yield step


def _file_state(file: pools.File) -> node_pb2.FileState:
    return node_pb2.FileState(exists=file.exists, size_bytes=file.size, format=file.format)
