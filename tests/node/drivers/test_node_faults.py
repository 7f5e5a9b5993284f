"""Fault scenarios F15, F16, F18 and F19 on a served node: real guests, and Cloud Hypervisor's stand-in.

F13 and F14 are part of the contract.

After each: no process, socket or tap is left, and who was not meant keeps its pid.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from qarax_proto import node_pb2

from qarax_node import processes
from qarax_node.drivers.base import Process
from tests.node.drivers.conftest import CLOUD_HYPERVISOR
from tests.node.drivers.harness import Case
from tests.node.drivers.served import ServedVm, VmState, pooled, pooled_spec, settings_of
from tests.node.keeping import KeeperProcess
from tests.node.serving import code_of, serving

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub


@pytest.fixture
async def stub(case: Case, runtime_dir: Path, keeper_process: KeeperProcess) -> AsyncIterator[Stub]:
    assert keeper_process.runtime_dir == runtime_dir
    async with serving(settings_of(case, runtime_dir, CLOUD_HYPERVISOR)) as (_, made):
        yield made


@pytest.fixture
def vm(stub: Stub, runtime_dir: Path) -> ServedVm:
    return ServedVm(stub, runtime_dir)


async def test_f15_a_vmm_that_hangs_harms_no_other_and_a_stop_kills_it(
    case: Case, stub: Stub, vm: ServedVm, runtime_dir: Path, tmp_path: Path
) -> None:
    other = ServedVm(stub, runtime_dir)
    await vm.create(pooled_spec(case, tmp_path / "pool"))
    await other.create(pooled_spec(case, tmp_path / "pool"))
    hung, well = await asyncio.gather(vm.start(), other.start())
    os.kill(hung.pid, signal.SIGSTOP)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await vm.pause(timeout=20)
    assert refused.value.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
    assert code_of(refused.value) == "vmm_timeout"
    assert (await other.pause(timeout=5)).status == VmState.STATUS_PAUSED
    stopped = await vm.stop(grace=1)
    assert stopped.status == VmState.STATUS_SHUTDOWN
    assert stopped.last_stop.how == node_pb2.StopOutcome.HOW_FORCED
    assert (await other.state()).pid == well.pid


async def test_f16_a_locked_disk_leaves_no_process_and_the_vm_as_it_was(
    case: Case, stub: Stub, vm: ServedVm, runtime_dir: Path, tmp_path: Path
) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(1 << 20))
    disk = node_pb2.Disk(id="data", file=pooled(tmp_path / "pool", image), image_type="raw")
    other = ServedVm(stub, runtime_dir)
    for each in (vm, other):
        await each.create(pooled_spec(case, tmp_path / "pool", disks=[disk]))
    holder = await other.start()
    with pytest.raises(grpc.aio.AioRpcError, match="lock") as refused:
        await vm.start()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    state = await vm.state()
    assert (state.status, state.pid) == (VmState.STATUS_CREATED, 0)
    assert vmms(runtime_dir) == {holder.pid}
    await other.stop(grace=0)
    assert (await vm.start()).status == VmState.STATUS_RUNNING


def vmms(runtime_dir: Path) -> set[int]:
    """The processes that work in a VM's directory."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(f"{runtime_dir}/"):
                found.add(int(entry.name))
        except OSError:  # it ended meanwhile, or is none of ours
            continue
    return found


async def test_f18_after_a_host_reboot_a_vm_is_shut_down_whatever_has_its_pid(
    case: Case,
    runtime_dir: Path,
    keeper_process: KeeperProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(settings_of(case, runtime_dir, CLOUD_HYPERVISOR)) as (_, stub):
        vm = ServedVm(stub, runtime_dir)
        await vm.create(pooled_spec(case, tmp_path / "pool"))
        started = await vm.start()
    keeper_process.kill()
    os.kill(started.pid, signal.SIGKILL)
    monkeypatch.setenv("QARAX_BOOT_ID", "11111111-2222-3333-4444-555555555555")
    keeper_process.start()
    async with serving(settings_of(case, runtime_dir, CLOUD_HYPERVISOR)) as (_, stub):
        state, _ = await ServedVm(stub, runtime_dir, vm.vm_id).becomes(lambda state: state.reason != "")
        assert state.status == VmState.STATUS_SHUTDOWN
        assert state.last_stop.how == node_pb2.StopOutcome.HOW_HOST_REBOOT
        assert (await ServedVm(stub, runtime_dir, vm.vm_id).start()).status == VmState.STATUS_RUNNING


@pytest.fixture
def foreigner() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


async def test_f19_a_pid_that_was_reused_is_never_signalled(
    case: Case,
    runtime_dir: Path,
    keeper_process: KeeperProcess,
    tmp_path: Path,
    foreigner: subprocess.Popen[bytes],
) -> None:
    async with serving(settings_of(case, runtime_dir, CLOUD_HYPERVISOR)) as (_, stub):
        vm = ServedVm(stub, runtime_dir)
        await vm.create(pooled_spec(case, tmp_path / "pool"))
        started = await vm.start()
    keeper_process.kill()
    os.kill(started.pid, signal.SIGKILL)
    reuse_pid(runtime_dir, started.pid, foreigner.pid)
    keeper_process.start()
    async with serving(settings_of(case, runtime_dir, CLOUD_HYPERVISOR)) as (_, stub):
        vm = ServedVm(stub, runtime_dir, vm.vm_id)
        await vm.becomes(lambda state: state.status == VmState.STATUS_SHUTDOWN)
        await vm.stop(grace=0)
        await vm.delete()
    assert foreigner.poll() is None


def reuse_pid(runtime_dir: Path, old: int, new: int) -> None:
    """As if the kernel had given the dead VMM's pid to another process, in every file that names it."""
    changed = 0
    for path in runtime_dir.rglob("*.json"):
        kept, count = re.subn(rf'("pid": ?){old}\b', rf"\g<1>{new}", path.read_text())
        path.write_text(kept)
        changed += count
    assert changed >= 2, "the node's and the keeper's record name the pid"
    assert processes.is_alive(processes.identify(new) or Process(0, 0, ""))
