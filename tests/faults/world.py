"""A whole control plane as processes in a scratch state directory, each part killed and started by its pid.

The programs are started as `qarax up` starts them (`qarax_tui.stack`). What the server acknowledged is kept
in a ledger, which `invariants` compares with what is so afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg2
from psycopg2 import sql

from qarax_tui.stack import processes, services
from qarax_tui.stack.processes import ProcessRecord
from qarax_tui.stack.services import Service
from qarax_tui.stack.state import StateDirectory
from tests.faults.client import Client, Guest
from tests.guest_image import GuestImage
from tests.node.keeping import kill_vmms
from tests.ports import free_port
from tests.postgres import TestDatabase, TestServer
from tests.server.running import until

STAND_IN = Path(__file__).parents[1] / "fakes" / "cloud-hypervisor"
CLOUD_HYPERVISOR = ("--driver", "cloud_hypervisor", "--cloud-hypervisor-binary", str(STAND_IN))
QEMU = ("--driver", "qemu", "--stand-in", "qemu", "--accelerator", "tcg")
CMDLINE = "console=ttyS0 reboot=k panic=1"
BZIMAGE = bytes(0x202) + b"HdrS" + bytes(0x1000)  # enough for the stand-in to take it for a kernel


@dataclass(kw_only=True)
class World(Client):
    """One control plane; its parts are `server`, `node`, `keeper` and any more that a scenario starts."""

    state: StateDirectory
    postgres: TestServer
    database: TestDatabase
    driver: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    parts: dict[str, ProcessRecord] = field(default_factory=dict)

    def service(self, name: str) -> Service:
        """How `qarax up` starts a part."""
        if name == services.KEEPER:
            return services.keeper(self.state)
        if name == services.NODE:
            return services.node(self.state, self.node_port, self.driver)
        return services.server(self.state, self.server_port)

    async def start(self, name: str, *, ready: bool = True, **environment: str) -> None:
        """Start a part, with more in its environment, and wait until it is ready."""
        service = self.service(name)
        await self.launch(name, service, ready=ready, **environment)

    async def launch(self, name: str, service: Service, *, ready: bool = True, **environment: str) -> None:
        """Start a program under a name."""
        given = {**os.environ, **service.environment, **self.database.environment, **self.environment}
        given |= environment
        self.parts[name] = record = processes.start_detached(
            name,
            service.command,
            log=self.state.log(name),
            cwd=self.state.path,
            port=service.port,
            environment=given,
        )
        if ready:
            await asyncio.to_thread(
                processes.wait_until, service.ready, seconds=service.seconds, record=record
            )

    async def second_node(self, name: str) -> int:
        """Start another node, with a keeper and a runtime directory of its own, and return its port."""
        state = StateDirectory(self.state.path / name)
        state.prepare()
        state.runtime.chmod(0o700)
        port = free_port()
        await self.launch(f"{name}-keeper", services.keeper(state))
        await self.launch(f"{name}-node", services.node(state, port, self.driver))
        return port

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part."""
        os.kill(self.parts[name].pid, number)

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> float:
        """End a part and return how many seconds that took."""
        began = time.monotonic()
        assert await asyncio.to_thread(processes.stop, self.parts[name], signals=((number, 30.0),)), name
        processes._reap(self.parts[name].pid)
        return time.monotonic() - began

    async def ended(self, name: str, seconds: float = 20.0) -> None:
        """Wait until a part has ended by itself."""
        await until(lambda: _false(self.parts[name].alive), seconds)
        processes._reap(self.parts[name].pid)

    async def end(self) -> None:
        """End every part and every VMM."""
        for name in list(self.parts):
            with contextlib.suppress(ProcessLookupError):
                self.send(name, signal.SIGCONT)
            await self.kill(name)
        self.parts.clear()
        for found in self.vmms().values():
            for pid, _ in found:
                os.kill(pid, signal.SIGKILL)
        await until(self._all_gone)
        kill_vmms(self.state.path)

    async def _all_gone(self) -> bool:
        return not self.vmms()

    def statement(self, text: str, *values: str) -> list[Any]:
        """Run a statement beside the server; its rows, if it has any."""
        connection = psycopg2.connect(self.database.dsn)
        with contextlib.closing(connection), connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(text), values or None)
            return cursor.fetchall() if cursor.description else []

    def log(self, name: str) -> str:
        return self.state.log(name).read_text(errors="replace")

    async def boot_source(self, *knobs: str, kernel: str = "vmlinux") -> str:
        """A boot source whose command line asks the stand-in for faults."""
        name = f"source-{next(self.names)}"
        pool = await self._images()
        path = self.state.images / kernel
        body = {
            "name": name,
            "storage_pool_id": pool,
            "object_type": "kernel",
            "size_bytes": 4096,
            "config": {"path": str(path)},
        }
        kernel_id = await self.ok("POST", "/storage-objects", body)
        params = " ".join([CMDLINE, *(f"standin.{knob}" for knob in knobs)])
        new = {"name": name, "kernel_image_id": kernel_id, "kernel_params": params}
        source: str = await self.ok("POST", "/boot-sources", new)
        return source

    async def _images(self) -> str:
        for pool in await self.ok("GET", "/storage-pools"):
            if pool["name"] == "images":
                return str(pool["id"])
        new = {"name": "images", "pool_type": "local", "config": {"path": str(self.state.images)}}
        made: str = await self.ok("POST", "/storage-pools", new)
        return made

    def vmms(self) -> dict[str, list[Guest]]:
        """Every process that works in a VM's directory, by the VM's id."""
        found: dict[str, list[Guest]] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                place = (entry / "cwd").readlink()
            except OSError:
                continue
            started = processes.start_time(int(entry.name))
            if place.parent == self.state.runtime and started is not None:
                found.setdefault(place.name.partition(" ")[0], []).append((int(entry.name), started))
        return found

    def watch_guests(self) -> dict[str, Guest]:
        """From here on these guests must keep their processes, unless `expect_ended` lets them go."""
        self.ledger.guests = {vm_id: found[0] for vm_id, found in self.vmms().items()}
        return self.ledger.guests

    def expect_ended(self, *vm_ids: str) -> None:
        for vm_id in vm_ids:
            self.ledger.guests.pop(vm_id, None)


async def _false(value: object) -> bool:
    return not value


@contextlib.asynccontextmanager
async def world_on(
    postgres: TestServer, driver: tuple[str, ...], image: GuestImage | None = None
) -> AsyncIterator[World]:
    """A control plane on a database of its own; all of it is gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="qarax-f-"))
    directory.chmod(0o711)
    state = StateDirectory(directory)
    state.prepare()
    state.runtime.chmod(0o700)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        database = stack.enter_context(postgres.fresh_database())
        durable(postgres, database)
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=120), connector=aiohttp.TCPConnector(limit=0)
        )
        world = World(state=state, postgres=postgres, database=database, driver=driver, session=session)
        world.environment |= boot_files(state, image)
        world.environment["QARAX__PLACEMENT__CPU_OVERCOMMIT"] = "1000"
        try:
            yield world
        finally:
            await session.close()
            await world.end()


def durable(postgres: TestServer, database: TestDatabase) -> None:
    """Acknowledged writes of this database survive a crash of PostgreSQL, as they do in use."""
    name = sql.Identifier(database.database_name)
    postgres.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(name))


def boot_files(state: StateDirectory, image: GuestImage | None) -> dict[str, str]:
    """A kernel in the pool: a real guest's, else one that only looks like it."""
    state.images.chmod(0o755)
    if image is None:
        (state.images / "vmlinux").write_bytes(BZIMAGE)
        return {"VM_INITRAMFS": "", "VM_CMDLINE": CMDLINE}
    for file in (image.kernel, image.initramfs):
        shutil.copy(file, state.images / file.name)
    return {"VM_INITRAMFS": str(state.images / image.initramfs.name), "VM_CMDLINE": CMDLINE}
