"""VMs with real processes: honest stops, crashes, adoption after the node's death, strangers."""

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
from qarax_node.errors import NodeError
from qarax_node.machines import stopping
from qarax_node.machines.host import Host
from tests.node.hosting import create, create_started, hosting, make_pool
from tests.node.keeping import KeeperProcess, fill, kill_vmms, until
from tests.node.process_driver import TOLD_TO, steer
from tests.node.serving import new_id, vm_spec


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return make_pool(tmp_path / "pool")


def process_of(host: Host, vm_id: str) -> processes.Process:
    run = host.get(vm_id).run
    assert run is not None
    return run.process


def descriptors(pid: int | str) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def end_of(host: Host, vm_id: str) -> tuple[Status, StopHow]:
    machine = host.get(vm_id)
    assert machine.last_stop is not None
    return machine.status, machine.last_stop.how


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
