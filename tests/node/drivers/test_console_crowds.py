"""F20 and F23 at the node, a process of its own: readers that are slow, readers that vanish."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qarax_proto import node_pb2

from tests.node.drivers.harness import Case
from tests.node.drivers.node_process import NodeProcess
from tests.node.drivers.served import ServedVm, pooled_spec
from tests.node.keeping import until

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

MIB = 1 << 20
FLOOD_LINES = 700_000
FLOODS = 7
FLOOD_BYTES = FLOOD_LINES * 64
READERS, VANISHING = 1000, 900
CROWD = Path(__file__).parents[2] / "fakes" / "console_crowd.py"


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    return cloud_hypervisor_case


@pytest.fixture
async def vm(case: Case, node_stub: Stub, runtime_dir: Path, tmp_path: Path) -> ServedVm:
    made = ServedVm(node_stub, runtime_dir)
    await node_stub.Describe(node_pb2.DescribeRequest(), wait_for_ready=True, timeout=20)
    await made.create(pooled_spec(case, tmp_path / "pool"))
    await made.start()
    await made.says(b"# ")
    return made


class Reader:
    """Follows a console from its beginning; one that is not `eager` waits after a chunk for `go`."""

    def __init__(self, stub: Stub, vm_id: str, *, eager: bool = True) -> None:
        self.size = 0
        self.gaps: list[node_pb2.ConsoleGap] = []
        self.contiguous = True
        self.end = 0
        self.go = asyncio.Event()
        if eager:
            self.go.set()
        request = node_pb2.ReadConsoleRequest(vm_id=vm_id, oldest=True, follow=True)
        self._call = stub.ReadConsole(request)
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for chunk in self._call:
            if chunk.HasField("gap"):
                self.gaps.append(chunk.gap)
                self.end = chunk.gap.offset + chunk.gap.bytes
            elif chunk.HasField("data"):
                self.contiguous = self.contiguous and chunk.data.offset == self.end
                self.end = chunk.data.offset + len(chunk.data.data)
                self.size += len(chunk.data.data)
                if chunk.data.data:
                    await self.go.wait()

    async def close(self) -> None:
        self._call.cancel()
        self._task.cancel()
        await asyncio.wait({self._task})


async def test_f20_a_slow_reader_under_a_flood_gets_a_gap_and_costs_nobody_anything(
    node: NodeProcess, node_stub: Stub, vm: ServedVm, runtime_dir: Path
) -> None:
    fast = Reader(node_stub, vm.vm_id)
    slow = Reader(node_stub, vm.vm_id, eager=False)
    await until(lambda: fast.size and slow.size, 30)
    before = node.resident_bytes()
    began = time.monotonic()
    for share in range(1, FLOODS + 1):  # no more at once than any reader may be behind
        await vm.type(f"flood {FLOOD_LINES // FLOODS}")
        await until(lambda: fast.size >= FLOOD_BYTES // FLOODS * share or fast.gaps, 90)  # noqa: B023 - at once
    seconds = time.monotonic() - began
    grown = node.resident_bytes() - before
    assert fast.gaps == []
    assert fast.contiguous
    log = runtime_dir / f"{vm.vm_id}.console.log"
    assert fast.size == log.stat().st_size
    assert FLOOD_BYTES / seconds > MIB, "others are at full speed"
    assert slow.size < MIB
    assert grown < 24 * MIB

    slow.go.set()
    await until(lambda: slow.end == fast.end, 30)
    (gap,) = slow.gaps
    assert "too slow" in gap.reason
    assert slow.size + gap.bytes == fast.size
    late = Reader(node_stub, vm.vm_id)
    await until(lambda: late.size == fast.size, 60)
    assert late.gaps == [], "who reads the past is not slow"
    for reader in (slow, fast, late):
        assert reader.contiguous
        await reader.close()


class Crowd:
    """Readers in a process of their own, which can vanish."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def vanish(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def crowd(node: NodeProcess, vm: ServedVm, readers: int) -> AsyncIterator[Crowd]:
    """So many readers, all of whom have read."""
    words = (str(CROWD), str(node.port), vm.vm_id, str(readers))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, cwd=CROWD.parents[2]
    )
    made = Crowd(process)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
        yield made
    finally:
        await made.end()


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.faults)], ids=lambda s: s.name
)
async def test_f23_readers_that_vanish_give_everything_back(
    node: NodeProcess, node_stub: Stub, vm: ServedVm, number: signal.Signals
) -> None:
    reader = Reader(node_stub, vm.vm_id)
    await until(lambda: reader.size)
    await _answers(vm, reader)  # it follows, and typing has opened what it opens
    before = node.open_files()
    baseline = before.total()
    async with crowd(node, vm, READERS - VANISHING):
        with_those_who_stay = node.descriptors()
        async with crowd(node, vm, VANISHING) as vanishing:
            assert node.descriptors() >= baseline + READERS
            vanishing.vanish(number)
            await until(lambda: node.descriptors() <= with_those_who_stay, 60)
        await _answers(vm, reader)
    try:
        await until(lambda: node.descriptors() <= baseline, 60)
    finally:
        print("more than before:", node.open_files() - before)  # noqa: T201 - shown when it fails
    assert reader.contiguous
    await reader.close()


async def _answers(vm: ServedVm, reader: Reader) -> None:
    size = reader.size
    await vm.type("echo still here")
    await until(lambda: reader.size > size, 30)
