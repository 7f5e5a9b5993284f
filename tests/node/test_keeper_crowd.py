"""What a keeper of many VMs costs: memory with every console attached, and a processor that sleeps.

The VMMs are `sleep`, their serial sockets the test's own, so that a thousand fit anywhere. Node and keeper
together, with a stand-in of Cloud Hypervisor per VM, are rows P10 and P11 of docs/performance.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.keeper_client import KeeperClient
from tests.node.keeping import KeeperProcess, until

MIB = 1 << 20
LINES = b"a line that a guest has printed on its way up\r\n" * 20
WINDOW_SECONDS = 4.0


@contextlib.contextmanager
def listening(directory: Path) -> Iterator[socket.socket]:
    """A serial socket in the VM's directory."""
    directory.mkdir(mode=0o700)
    place = os.open(directory, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{place}/serial.sock")
        os.close(place)
        listener.listen(1)
        yield listener


@pytest.mark.parametrize(
    "count", [100, pytest.param(1000, marks=[pytest.mark.faults, pytest.mark.timeout(300)])]
)
async def test_a_keeper_of_many_vms_is_small_and_idle(
    count: int, keeper: KeeperClient, keeper_process: KeeperProcess, runtime_dir: Path
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        for vm_id in ids:
            directory = runtime_dir / vm_id
            listener = stack.enter_context(listening(directory))
            await keeper.spawn(vm_id, ["sleep", "600"], cwd=directory, log=directory / "vmm.log")
            await keeper.attach(vm_id, directory / "serial.sock", "boot")
            serial = stack.enter_context(listener.accept()[0])
            serial.sendall(LINES)
        logs = [runtime_dir / f"{vm_id}.console.log" for vm_id in ids]
        await until(lambda: all(log.exists() and log.stat().st_size == len(LINES) for log in logs), 30)
        assert processes.usage(keeper_process.pid)["resident_bytes"] <= 20 * MIB

        before = processes.usage(keeper_process.pid)["cpu_milliseconds"]
        await asyncio.sleep(WINDOW_SECONDS)  # the time is what is measured
        used = processes.usage(keeper_process.pid)["cpu_milliseconds"] - before
        assert used <= 10 * WINDOW_SECONDS, f"{used} ms of {WINDOW_SECONDS} s"
