"""F30: a pool on a file system that stops answering. Its calls end, that is said, everything else goes on."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from qarax_proto import node_pb2

from tests.node.drivers.conftest import CLOUD_HYPERVISOR
from tests.node.drivers.harness import BANNER, Case
from tests.node.drivers.served import ServedVm, VmState, pooled, pooled_spec, settings_of
from tests.node.keeping import KeeperProcess
from tests.node.serving import FENCE, code_of, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

FILE_SYSTEM = Path(__file__).parents[2] / "fakes" / "stalling_file_system.py"
STORAGE_SECONDS = 10.0


class StallingPool:
    """A pool's directory behind a FUSE server that can be stopped."""

    def __init__(self, path: Path, server: subprocess.Popen[bytes]) -> None:
        self.path = path
        self._server = server

    def stall(self) -> None:
        os.kill(self._server.pid, signal.SIGSTOP)

    def heal(self) -> None:
        os.kill(self._server.pid, signal.SIGCONT)


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    return cloud_hypervisor_case


@pytest.fixture
def stalling(case: Case, tmp_path: Path) -> Iterator[StallingPool]:
    if importlib.util.find_spec("mfusepy") is None:
        pytest.skip("FUSE for Python (mfusepy) is not installed")
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("mounting a FUSE file system needs root and /dev/fuse")
    assert case.initrd is not None
    shown, mounted = tmp_path / "shown", tmp_path / "stalls"
    mounted.mkdir(mode=0o755)
    for source in (case.kernel, case.initrd):
        pooled(shown, source)
    errors = tmp_path / "fuse.log"
    with errors.open("wb") as log:
        server = subprocess.Popen([sys.executable, FILE_SYSTEM, shown, mounted], stderr=log)
    deadline = time.monotonic() + 10
    while not mounted.is_mount() and server.poll() is None:
        assert time.monotonic() < deadline, "the file system is not mounted in 10 s"
        time.sleep(0.02)
    if server.poll() is not None:
        pytest.skip(f"FUSE cannot be mounted here: {errors.read_text()[-200:]}")
    yield StallingPool(mounted, server)
    server.send_signal(signal.SIGCONT)
    subprocess.run(["umount", "-l", mounted], check=True)
    server.kill()
    server.wait()


@pytest.fixture
async def stub(case: Case, runtime_dir: Path, keeper_process: KeeperProcess) -> AsyncIterator[Stub]:
    assert keeper_process.runtime_dir == runtime_dir
    async with serving(settings_of(case, runtime_dir, CLOUD_HYPERVISOR)) as (_, made):
        yield made


async def refusal(call: Awaitable[object]) -> tuple[str, float]:
    """The code of a call's refusal, and after how long it came."""
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return code_of(refused.value), time.monotonic() - began


async def test_f30_a_stalled_pool_costs_its_own_calls_their_deadline_and_nobody_else(
    case: Case, stub: Stub, stalling: StallingPool, runtime_dir: Path, tmp_path: Path
) -> None:
    assert case.initrd is not None
    there = pooled_spec(case, tmp_path / "pool")
    behind = pooled_spec(case, tmp_path / "pool", name="behind")
    for file, source in ((behind.kernel, case.kernel), (behind.initrd, case.initrd)):
        file.pool_path, file.path = str(stalling.path), str(stalling.path / source.name)
    well, hit = ServedVm(stub, runtime_dir), ServedVm(stub, runtime_dir)
    await well.create(there)
    await hit.create(behind)
    guest = await hit.start()
    await hit.says(BANNER)
    more = [ServedVm(stub, runtime_dir) for _ in range(20)]

    stalling.stall()
    pool = node_pb2.CheckPoolRequest(fence=FENCE, path=str(stalling.path), pool_type="local")
    kernel = node_pb2.CheckFileRequest(file=behind.kernel)
    asked: list[Awaitable[object]] = [stub.CheckPool(pool), stub.CheckFile(kernel)]
    asked += [each.create(behind) for each in more]
    waiting = asyncio.gather(*(refusal(call) for call in asked))
    await asyncio.sleep(0)
    began = time.monotonic()
    await well.start()
    await well.says(BANNER)
    assert (await well.pause(timeout=5)).status == VmState.STATUS_PAUSED
    assert (await hit.pause(timeout=5)).pid == guest.pid, "a guest that has its files open goes on"
    await hit.resume()
    assert time.monotonic() - began < STORAGE_SECONDS / 2
    for code, seconds in await waiting:
        assert code == "storage_stalled"
        assert seconds < 3 * STORAGE_SECONDS

    stalling.heal()
    assert (await stub.CheckPool(pool)).capacity_bytes > 0
    await more[0].create(behind)
    assert (await more[0].start()).status == VmState.STATUS_RUNNING
    assert (await hit.state()).pid == guest.pid
