"""A control plane in this process and simulated nodes as processes of their own, for tests of the chain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession, web

from qarax_server.api.connections import Runner
from qarax_server.server import Server
from qarax_server.settings import Database as DatabaseSettings
from qarax_server.settings import Monitor, NodeTls, Settings, VmDefaults
from tests.ports import free_port
from tests.postgres import TestDatabase
from tests.secret_scan import leak_in

ELF = b"\x7fELF" + bytes(4092)


def patience() -> float:
    """How much longer than on a quiet machine things may take on this one at this moment: 1 to 6."""
    return min(max(os.getloadavg()[0] / (2 * (os.cpu_count() or 1)), 1.0), 6.0)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for a condition (an async callable) to give something true, and return that.

    The deadline is for a machine that has nothing else to do; a busy one gets more.
    """
    async with asyncio.timeout(seconds * patience()):
        while not (found := await condition()):  # noqa: ASYNC110 - what it asks is another process
            await asyncio.sleep(0.02)
        return found


@dataclass
class Node:
    """A `qarax-node` with the simulated driver."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    options: tuple[str, ...] = ()

    async def start(self) -> None:
        """Start it and wait for its port."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = ["-m", "qarax_node.app", "--driver", "simulated", "--port", str(self.port)]
        command += ["--runtime-dir", str(self.directory), "--simulated-boot-seconds", "0", *self.options]
        with (self.directory / "node.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(sys.executable, *command, stderr=log)
        await until(self._answers)

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (self.directory / "node.log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.signal(signal.SIGKILL)
            await self.process.wait()


@dataclass
class ControlPlane:
    """A server and its REST API."""

    server: Server
    url: str
    session: ClientSession
    stopping: asyncio.Event
    running: asyncio.Task[None]
    runner: web.AppRunner

    async def request(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, ClientResponse]:
        """Make a request; return status, decoded body and the response."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=named) as response:
            text = await response.text()
            assert not leak_in(text), f"{method} {path} answers a secret: {leak_in(text)}"
            kind = response.content_type
            return response.status, json.loads(text) if kind == "application/json" else text, response

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Make a request that must succeed and return its decoded body."""
        status, found, _ = await self.request(method, path, body, **headers)
        assert status < 300, (status, found)
        return found

    async def add_host(self, node: Node, name: str = "host-1") -> str:
        """Register a node's host and set it up."""
        new = {"name": name, "address": "127.0.0.1", "port": node.port, "host_user": "root"}
        host_id: str = await self.ok("POST", "/hosts", new)
        host = await self.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
        assert host["status"] == "up", host
        return host_id

    async def add_vm(self, name: str = "vm-1", **fields: Any) -> str:
        """Make a VM."""
        vm_id: str = await self.ok("POST", "/vms", new_vm(name, **fields))
        return vm_id

    async def vm(self, vm_id: str) -> Any:
        return await self.ok("GET", f"/vms/{vm_id}")

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self.stopping.set()
        await self.running
        await self.server.drain()
        await self.runner.cleanup()
        await self.server.close()
        await self.session.close()


def new_vm(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "hypervisor": "cloud_hv",
        "boot_vcpus": 1,
        "max_vcpus": 1,
        "memory_size": 64 * 2**20,
        **fields,
    }


def settings_of(where: TestDatabase) -> DatabaseSettings:
    return DatabaseSettings(
        host=where.host, port=where.port, username=where.username, database_name=where.database_name
    )


def settings_for(where: TestDatabase, directory: Path, **sections: Any) -> Settings:
    """Settings whose default kernel is there and whose monitor is quick."""
    images = directory / "images"
    images.mkdir(mode=0o755, exist_ok=True)
    (images / "vmlinux").write_bytes(ELF)
    defaults = VmDefaults(
        kernel=str(images / "vmlinux"), initramfs="", cmdline="console=ttyS0", stop_grace_seconds=1
    )
    monitor = Monitor(heartbeat_seconds=0.2, silence_seconds=1.0, reconnect_seconds=0.2, call_seconds=1.0)
    own = {"vm_defaults": defaults, "monitor": monitor, "node_tls": NodeTls(plain_text=True)}
    return Settings(database=settings_of(where), **{**own, **sections})


async def start_control_plane(settings: Settings, holder: str = "test", *, wait: bool = True) -> ControlPlane:
    """Start a server in this process and wait until it is ready."""
    server = Server(settings, holder)
    runner = Runner(server.app, settings.application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stopping = asyncio.Event()
    running = asyncio.create_task(server.run_until(stopping))
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    plane = ControlPlane(server, url, ClientSession(), stopping, running, runner)

    async def ready() -> bool:
        assert not running.done(), running.result()
        return (await plane.request("GET", "/readyz"))[0] == 200

    if wait:
        await until(ready)
    return plane


@contextlib.asynccontextmanager
async def control_plane(settings: Settings, holder: str = "test") -> AsyncIterator[ControlPlane]:
    plane = await start_control_plane(settings, holder)
    try:
        yield plane
    finally:
        if not plane.running.done():
            await plane.stop()
