"""A host of VMs over a real keeper with the process driver, started and dropped as a test likes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from qarax_node import processes
from qarax_node.drivers.base import Observation, Status, StopHow
from qarax_node.drivers.registry import Registry
from qarax_node.keeper_client import KeeperClient
from qarax_node.machines.host import Host
from qarax_node.settings import Settings
from tests.node.keeping import KeeperProcess
from tests.node.process_driver import ProcessDriver
from tests.node.serving import new_id, vm_spec


def make_pool(path: Path) -> Path:
    """A pool with something that passes for a kernel in it."""
    path.mkdir(mode=0o755, exist_ok=True)
    (path / "kernel").write_bytes(b"\x7fELF" + bytes(4096))
    return path


@contextlib.asynccontextmanager
async def hosting(keeper_process: KeeperProcess, **more: object) -> AsyncIterator[Host]:
    """A loaded host; leaving the block is the node's death: nothing is stopped or waited for."""
    given = dataclasses.replace(
        Settings(runtime_dir=keeper_process.runtime_dir, keeper_socket=keeper_process.socket),
        **more,  # type: ignore[arg-type]
    )
    keeper = KeeperClient(given.keeper_socket)
    hosts: list[Host] = []

    def notify(vm_id: str, observation: Observation) -> None:
        hosts[0].noticed(vm_id, observation)

    driver = ProcessDriver(keeper, notify)
    host = Host(given, Registry([driver]), keeper)
    hosts.append(host)
    try:
        await host.load()
        yield host
    finally:
        await host.close(0)


async def create(host: Host, pool: Path, **more: object) -> str:
    vm_id = new_id()
    await host.create(vm_id, vm_spec(pool, **more), preflight_only=False)
    return vm_id


async def create_started(host: Host, pool: Path, **more: object) -> str:
    vm_id = await create(host, pool, **more)
    await host.get(vm_id).start()
    return vm_id


def process_of(host: Host, vm_id: str) -> processes.Process:
    run = host.get(vm_id).run
    assert run is not None
    return run.process


def end_of(host: Host, vm_id: str) -> tuple[Status, StopHow]:
    machine = host.get(vm_id)
    assert machine.last_stop is not None
    return machine.status, machine.last_stop.how
