"""VMs with real processes: honest stops, crashes, creates and deletes that leave nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.drivers.base import Status, StopHow
from qarax_node.errors import NodeError
from qarax_node.machines import stopping
from tests.node.hosting import create, create_started, end_of, hosting, process_of
from tests.node.keeping import KeeperProcess, fill, kill_vmms, until
from tests.node.process_driver import TOLD_TO, steer
from tests.node.serving import new_id, vm_spec


def descriptors(pid: int | str) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_the_stop_that_is_obeyed_and_the_one_that_is_not(
    keeper_process: KeeperProcess, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        for cmdline, how in (("", StopHow.OBEYED), ("stubborn", StopHow.FORCED)):
            vm_id = await create_started(host, pool, cmdline=cmdline)
            process = process_of(host, vm_id)
            await stopping.stop(host.get(vm_id), 1)
            assert end_of(host, vm_id) == (Status.SHUTDOWN, how)
            assert not processes.is_alive(process)


async def test_a_vmm_that_somebody_else_ended_has_a_reason(keeper_process: KeeperProcess, pool: Path) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool)
        machine = host.get(vm_id)
        steer(machine.spec.directory, f"exit {TOLD_TO}")
        await until(lambda: machine.status is Status.SHUTDOWN, what="its end")
        assert end_of(host, vm_id) == (Status.SHUTDOWN, StopHow.FORCED)
        assert machine.reason == "ended by force: somebody on this host told it to"


async def test_a_vmm_that_hangs_is_killed_and_nobody_else_waits(
    keeper_process: KeeperProcess, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        hung = await create_started(host, pool, cmdline="hangs stubborn")
        os.kill(process_of(host, hung).pid, signal.SIGSTOP)
        stop = asyncio.create_task(stopping.stop(host.get(hung), 1))
        other = await create_started(host, pool)
        assert not stop.done()
        await stop
        assert end_of(host, hung) == (Status.SHUTDOWN, StopHow.FORCED)
        assert host.get(other).status is Status.RUNNING


async def test_death_is_seen_at_once_and_told_apart(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        for command, how in (("exit 0", StopHow.GUEST_POWEROFF), ("kill", StopHow.CRASHED)):
            vm_id = await create_started(host, pool)
            steer(runtime_dir / vm_id, command)
            machine = host.get(vm_id)
            await until(lambda machine=machine: machine.status is Status.SHUTDOWN, 2)  # type: ignore[misc]
            assert end_of(host, vm_id) == (Status.SHUTDOWN, how)
            await machine.start()
            assert machine.status is Status.RUNNING


async def test_a_guest_that_missed_the_first_press_is_asked_again_soon(
    keeper_process: KeeperProcess, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool, cmdline="misses-a-press")
        await stopping.stop(host.get(vm_id), 30)
        stop = host.get(vm_id).last_stop
        assert stop is not None
        assert stop.how is StopHow.OBEYED
        assert 1 <= stop.seconds < 3


async def test_delete_leaves_nothing(keeper_process: KeeperProcess, runtime_dir: Path, pool: Path) -> None:
    async with hosting(keeper_process) as host:
        vm_id = await create_started(host, pool, cmdline="bytes=100")
        process = process_of(host, vm_id)
        await host.delete(vm_id)
        assert not processes.is_alive(process)
        assert [path.name for path in runtime_dir.iterdir() if vm_id in path.name] == []
        assert list((runtime_dir / "keeper/processes").iterdir()) == []


async def test_a_create_that_the_disk_refuses_leaves_nothing(
    keeper_process: KeeperProcess, runtime_dir: Path, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        vm_id = new_id()
        (runtime_dir / vm_id).write_text("in the way")
        with pytest.raises(OSError, match="exists"):
            await host.create(vm_id, vm_spec(pool), preflight_only=False)
        assert host.find(vm_id) is None


async def test_the_preflight_runs_before_create_and_before_start(
    keeper_process: KeeperProcess, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        with pytest.raises(NodeError, match="says refused"):
            await create(host, pool, cmdline="refused")
        with pytest.raises(NodeError, match="memory_size") as refused:
            await create(host, pool, memory_size=1 << 50)
        assert refused.value.kind == "exhausted"
        vm_id = await create(host, pool)
        (pool / "kernel").rename(pool / "elsewhere")
        with pytest.raises(NodeError, match="does not exist on this host") as refused:
            await host.get(vm_id).start()
        assert refused.value.field == "boot_source_id"
        assert host.get(vm_id).status is Status.CREATED


async def test_a_hundred_lives_leave_descriptors_and_tasks_as_they_were(
    keeper_process: KeeperProcess, pool: Path
) -> None:
    async with hosting(keeper_process) as host:
        await host.delete(await create_started(host, pool))
        before = descriptors("self"), len(asyncio.all_tasks())
        kept = descriptors(keeper_process.pid)
        for _ in range(20):
            await host.delete(await create_started(host, pool))
        assert (descriptors("self"), len(asyncio.all_tasks())) <= before
        assert descriptors(keeper_process.pid) <= kept


async def test_a_full_disk_starts_the_node_degraded_and_kills_nothing(small_disk: Path, pool: Path) -> None:
    keeper_process = KeeperProcess(small_disk)
    keeper_process.start()
    try:
        async with hosting(keeper_process) as host:
            vm_id = await create_started(host, pool)
            process = process_of(host, vm_id)
        generations = [host.get(vm_id).generation]
        fill(small_disk / "ballast")
        async with hosting(keeper_process) as host:
            assert "cannot be written" in host.degraded
            assert host.get(vm_id).status is Status.RUNNING
            with pytest.raises(NodeError, match="refuses changes") as refused:
                host.node.check_fence(1)
            assert refused.value.kind == "unavailable"
            generations.append(host.get(vm_id).generation)
        async with hosting(keeper_process) as host:
            generations.append(host.get(vm_id).generation)
            (small_disk / "ballast").unlink()
            host.node.check_fence(1)
            assert host.degraded == ""
        async with hosting(keeper_process) as host:
            generations.append(host.get(vm_id).generation)
        assert generations == sorted(set(generations)), "what is newer is called so, kept or not"
        assert processes.is_alive(process)
    finally:
        keeper_process.kill()
        kill_vmms(small_disk)


async def test_one_node_per_directory(keeper_process: KeeperProcess) -> None:
    async with hosting(keeper_process):
        with pytest.raises(OSError, match="another qarax-node"):
            async with hosting(keeper_process):
                pass
