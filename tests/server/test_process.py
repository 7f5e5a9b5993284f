"""`qarax-server` as a process: killed at each step, stopped gently, started before its database."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.ports import free_port
from tests.postgres import TestDatabase, running_postgres
from tests.server.running import ELF, Node, new_vm, until

KEY = {"Idempotency-Key": "the-key"}


@dataclass
class Process:
    """A `qarax-server` process, started again and again on the same port."""

    database: TestDatabase
    directory: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self, failpoint: str = "", *, ready: bool = True) -> None:
        kernel = self.directory / "images" / "vmlinux"
        kernel.parent.mkdir(exist_ok=True, mode=0o755)
        kernel.write_bytes(ELF)
        environment = {
            **os.environ,
            **self.database.environment,
            "QARAX__APPLICATION__PORT": str(self.port),
            "QARAX__MONITOR__HEARTBEAT_SECONDS": "0.2",
            "QARAX__MONITOR__RECONNECT_SECONDS": "0.2",
            "VM_KERNEL": str(kernel),
            "VM_INITRAMFS": "",
            "VM_CMDLINE": "console=ttyS0",  # the default one lets a guest power itself off after 5 s
            "QARAX_FAILPOINT": failpoint,
        }
        with (self.directory / "server.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "qarax_server.app", stderr=log, env=environment
            )
        await until(self._ready if ready else self._alive, 20)

    async def _ready(self) -> bool:
        return (await self.try_request("GET", "/readyz"))[0] == 200

    async def _alive(self) -> bool:
        return (await self.try_request("GET", "/healthz"))[0] == 200

    async def try_request(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Make a request; 0 when the server dies meanwhile."""
        try:
            async with aiohttp.request(
                method, f"http://127.0.0.1:{self.port}{path}", json=body, **more
            ) as response:
                text = await response.text()
                return response.status, await response.json() if "json" in response.content_type else text
        except aiohttp.ClientError:
            return 0, None

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), 15)


@pytest.fixture
async def server(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(database_settings, tmp_path)
    yield process
    if process.process is not None:
        await process.kill()


async def add_host(server: Process, node: Node) -> str:
    new = {"name": "h", "address": "127.0.0.1", "port": node.port, "host_user": "root"}
    _, host_id = await server.try_request("POST", "/hosts", new)
    _, host = await server.try_request("PATCH", f"/hosts/{host_id}", {"status": "up"})
    assert host["status"] == "up"
    return str(host_id)


async def settled(server: Process, path: str = "/vms") -> Any:
    """Wait until no operation is open, and return the VMs."""

    async def quiet() -> Any:
        status, running = await server.try_request("GET", "/operations?status=running")
        return status == 200 and running == []

    await until(quiet, 5)
    return (await server.try_request("GET", path))[1]


SHORT_FORM = {"create.inserted", "create.answered", "start.claimed", "stop.answered", "delete.claimed"}


def steps(*names: str) -> list[Any]:
    """Every step; those beyond the short form only in `make faults`."""
    return [pytest.param(name, marks=() if name in SHORT_FORM else pytest.mark.faults) for name in names]


CREATING = steps("create.claimed", "create.inserted", "create.kept", "create.answered", "create.settling")


@pytest.mark.parametrize("step", CREATING)
async def test_killed_while_making_a_vm(server: Process, node: Node, step: str) -> None:
    await server.start()
    host_id = await add_host(server, node)
    await server.kill()
    await server.start(step)
    status, _ = await server.try_request("POST", "/vms", new_vm("a"), headers=KEY)
    assert status == 0
    assert await server.ended() == -signal.SIGKILL
    await server.start()
    vms = await settled(server)
    host = (await server.try_request("GET", f"/hosts/{host_id}"))[1]
    assert [vm["status"] for vm in vms] == ["created"] * len(vms)
    assert host["allocated_vcpus"] == len(vms)
    assert len(vms) == (0 if step in {"create.claimed", "create.inserted"} else 1)
    first = await server.try_request("POST", "/vms", new_vm("a"), headers=KEY)
    again = await server.try_request("POST", "/vms", new_vm("a"), headers=KEY)
    assert first == again
    assert first[0] == 201
    if vms:
        assert first[1] == vms[0]["id"]
    assert len((await server.try_request("GET", "/vms"))[1]) == 1


DRIVING = steps(
    *(
        f"{action}.{step}"
        for action in ("start", "stop", "delete")
        for step in ("claimed", "answered", "settling")
    )
)


@pytest.mark.parametrize("step", DRIVING)
async def test_killed_while_driving_a_vm(server: Process, node: Node, step: str) -> None:
    action = step.partition(".")[0]
    await server.start()
    host_id = await add_host(server, node)
    _, vm_id = await server.try_request("POST", "/vms", new_vm("a"))
    if action != "start":
        await server.try_request("POST", f"/vms/{vm_id}/start")
    await server.kill()
    await server.start(step)
    method, path = ("DELETE", f"/vms/{vm_id}") if action == "delete" else ("POST", f"/vms/{vm_id}/{action}")
    assert (await server.try_request(method, path))[0] == 0
    assert await server.ended() == -signal.SIGKILL
    await server.start()
    vms = await settled(server)
    if action == "delete":
        assert vms == []
        assert not (node.directory / vm_id).exists()
    elif action == "stop":
        assert vms[0]["status"] == "shutdown"
    else:
        assert vms[0]["status"] == ("created" if step == "start.claimed" else "running")
    host = (await server.try_request("GET", f"/hosts/{host_id}"))[1]
    assert host["allocated_vcpus"] == len(vms)


async def test_sigterm_lets_a_running_stop_end(server: Process, node: Node) -> None:
    await server.start()
    await add_host(server, node)
    _, vm_id = await server.try_request("POST", "/vms", new_vm("a", stop_grace_seconds=1))
    await server.try_request("POST", f"/vms/{vm_id}/start")
    stopping = asyncio.create_task(server.try_request("POST", f"/vms/{vm_id}/stop"))
    await asyncio.sleep(0.03)
    assert server.process is not None
    server.process.terminate()
    began = time.monotonic()
    assert await server.ended() == 0
    assert time.monotonic() - began < 10
    status, vm = await stopping
    assert (status, vm and vm["status"]) in {(200, "shutdown"), (0, None)}
    await server.start()
    assert (await settled(server))[0]["status"] == "shutdown"


async def test_started_before_its_database(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        database = postgres.database("postgres")
        postgres.stop()
        server = Process(database, tmp_path)
        await server.start(ready=False)
        try:
            assert (await server.try_request("GET", "/readyz"))[0] == 503
            status, answer = await server.try_request("GET", "/vms")
            assert (status, answer["code"]) == (503, "database_unavailable")
            postgres.record = await asyncio.to_thread(postgres.server.start)
            await until(server._ready)
            assert await server.try_request("GET", "/vms") == (200, [])
        finally:
            await server.kill()


async def test_a_database_restarted_under_load(tmp_path: Path, node: Node) -> None:
    with running_postgres() as postgres:
        server = Process(postgres.database("postgres"), tmp_path)
        await server.start()
        try:
            await add_host(server, node)
            answers: list[tuple[int, Any]] = []
            done = asyncio.Event()

            async def load(worker: int) -> None:
                number = 0
                while not done.is_set():
                    number += 1
                    new = new_vm(f"w{worker}-{number}", memory_size=2**20)
                    answers.append(await server.try_request("POST", "/vms", new))

            workers = [asyncio.create_task(load(worker)) for worker in range(4)]
            await until(lambda: _more_than(answers, 10))
            await asyncio.to_thread(postgres.restart)
            back = time.monotonic()
            await until(server._ready)
            assert time.monotonic() - back < 5
            before = len(answers)
            await until(lambda: _more_than(answers, before + 10))
            done.set()
            await asyncio.gather(*workers)
            assert {status for status, _ in answers} <= {201, 422, 503}
            vms = await settled(server)
            assert {answer for status, answer in answers if status == 201} <= {vm["id"] for vm in vms}
            assert {vm["status"] for vm in vms} == {"created"}
        finally:
            await server.kill()


async def _more_than(answers: list[Any], count: int) -> bool:
    return len(answers) > count
