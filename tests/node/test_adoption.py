"""After the node's death or the host's: processes are adopted, told from the keeper, or left alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.drivers.base import Status, StopHow
from qarax_node.machines import stopping
from tests.node.hosting import create, create_started, end_of, hosting, process_of
from tests.node.keeping import KeeperProcess, until
from tests.node.process_driver import steer


async def test_a_hundred_vms_are_adopted_in_two_seconds(keeper_process: KeeperProcess, pool: Path) -> None:
    async with hosting(keeper_process) as host:
        ids = [await create(host, pool) for _ in range(100)]
        await asyncio.gather(*(host.get(vm_id).start() for vm_id in ids))
        before = {vm_id: process_of(host, vm_id) for vm_id in ids}
        generations = {vm_id: host.get(vm_id).generation for vm_id in ids}
    began, used = time.monotonic(), time.process_time()
    async with hosting(keeper_process) as host:
        assert time.process_time() - used <= 1, "of a processor, two seconds of a clock beside nothing else"
        assert time.monotonic() - began <= 20
        assert {vm_id: process_of(host, vm_id) for vm_id in ids} == before
        assert {machine.status for machine in host.machines()} == {Status.RUNNING}
        assert all(host.get(vm_id).generation > generations[vm_id] for vm_id in ids)


async def test_a_start_that_was_cut_off_is_adopted_when_the_keeper_is_back_after_the_node(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool)
        process = process_of(host, vm_id)
    (runtime_dir / vm_id / "process.json").unlink()  # the node died before it could be kept
    keeper_process.kill()
    async with hosting(keeper_process) as host:
        machine = host.get(vm_id)
        assert (machine.status, machine.run) == (Status.CREATED, None)
        keeper_process.start()
        await until(lambda: machine.status is Status.RUNNING, what="its adoption")
        assert process_of(host, vm_id) == process
        await stopping.stop(machine, 1)
        assert not processes.is_alive(process)


async def test_what_ended_while_no_node_watched_is_told_from_the_keeper(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        crashed, off = [await create_started(host, pool) for _ in range(2)]
        pids = [process_of(host, crashed), process_of(host, off)]
    steer(runtime_dir / crashed, "exit 9")
    steer(runtime_dir / off, "exit 0")
    assert all([await processes.wait_gone(process, 5) for process in pids])
    async with hosting(keeper_process) as host:
        assert end_of(host, crashed) == (Status.SHUTDOWN, StopHow.CRASHED)
        assert end_of(host, off) == (Status.SHUTDOWN, StopHow.GUEST_POWEROFF)


async def test_without_a_keeper_the_cause_is_inferred(keeper_process: KeeperProcess, pool: Path) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool)
        keeper_process.kill()
        os.kill(process_of(host, vm_id).pid, signal.SIGKILL)
        await until(lambda: host.get(vm_id).status is Status.SHUTDOWN)
        assert end_of(host, vm_id) == (Status.SHUTDOWN, StopHow.INFERRED)
        with pytest.raises(Exception, match="keeper"):
            await host.get(vm_id).start()
        assert "keeper" in host.degraded


async def test_a_host_reboot_ends_every_vm_and_starts_those_that_want_it(
    keeper_process: KeeperProcess, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hosting(keeper_process) as host:
        stays, again = await create_started(host, pool), await create_started(host, pool, autostart=True)
        old = [process_of(host, stays), process_of(host, again)]
    keeper_process.kill()
    os.kill(old[1].pid, signal.SIGKILL)
    monkeypatch.setenv("QARAX_BOOT_ID", "after the reboot")
    keeper_process.start()
    async with hosting(keeper_process) as host:
        assert end_of(host, stays) == (Status.SHUTDOWN, StopHow.HOST_REBOOT)
        await until(lambda: host.get(again).status is Status.RUNNING)
        assert process_of(host, again).boot_id == "after the reboot"
    assert processes.start_time(old[0].pid) == old[0].start_time, "a process of another boot was signalled"


async def test_autostart_waits_for_a_keeper_that_comes_up_after_the_node(
    keeper_process: KeeperProcess, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool, autostart=True)
        stopped = await create_started(host, pool, autostart=True)
        await stopping.stop(host.get(stopped), 0)
        old = process_of(host, vm_id)
    keeper_process.kill()
    os.kill(old.pid, signal.SIGKILL)
    monkeypatch.setenv("QARAX_BOOT_ID", "after the reboot")
    async with hosting(keeper_process) as host:
        assert end_of(host, vm_id) == (Status.SHUTDOWN, StopHow.HOST_REBOOT)
        keeper_process.start()
        await until(lambda: host.get(vm_id).status is Status.RUNNING)
        assert host.get(stopped).status is Status.SHUTDOWN, "an operator had stopped it"


async def test_a_reused_pid_is_never_signalled(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        vm_id, other = await create_started(host, pool), await create_started(host, pool)
        gone, foreign = process_of(host, vm_id), process_of(host, other)
    os.kill(gone.pid, signal.SIGKILL)
    assert await processes.wait_gone(gone, 5)
    kept = json.loads((runtime_dir / vm_id / "process.json").read_text())
    kept["process"]["pid"] = foreign.pid
    (runtime_dir / vm_id / "process.json").write_text(json.dumps(kept))
    async with hosting(keeper_process) as host:
        assert host.get(vm_id).status is Status.SHUTDOWN
        await host.delete(vm_id)
        assert processes.is_alive(foreign)
        assert not processes.send_signal(processes.Process(foreign.pid, 1, foreign.boot_id), signal.SIGKILL)
        assert processes.is_alive(foreign)


async def test_a_vmm_whose_start_the_node_did_not_survive_is_adopted(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool)
        process = process_of(host, vm_id)
    (runtime_dir / vm_id / "process.json").unlink()
    async with hosting(keeper_process) as host:
        assert process_of(host, vm_id) == process
        assert host.get(vm_id).status is Status.RUNNING


async def test_strangers_and_leftovers_are_reported_and_left_alone(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool)
        process = process_of(host, vm_id)
    (runtime_dir / vm_id / "spec.json").unlink()
    async with hosting(keeper_process) as host:
        assert host.find(vm_id) is None
        assert any(vm_id in sentence and "without a spec" in sentence for sentence in host.strangers)
        assert any(f"pid {process.pid} " in sentence for sentence in host.strangers)
        assert processes.is_alive(process)
