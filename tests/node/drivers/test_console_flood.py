"""F21 at the node: 10,000 lines a second, every one served and kept up to the log's cap, memory flat.

A line of 100 MB, binary and invalid UTF-8 are in `tests/node/test_console_bytes.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qarax_proto import node_pb2

from qarax_node import processes
from tests.node.drivers.contract_vm import ContractVm
from tests.node.drivers.harness import Case
from tests.node.drivers.node_process import NodeProcess
from tests.node.drivers.served import pooled_spec
from tests.node.keeping import KeeperProcess

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

LINES_A_SECOND = 10_000
LINE_BYTES = 64
MIB = 1 << 20


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    return cloud_hypervisor_case


def line(number: int) -> bytes:
    return b"flood %09d %s\r\n" % (number, b"." * 46)


@pytest.fixture
async def vm(case: Case, node_stub: Stub, runtime_dir: Path, tmp_path: Path) -> ContractVm:
    made = ContractVm(node_stub, runtime_dir)
    await made.node_is_back()
    await made.create(pooled_spec(case, tmp_path / "pool"))
    await made.boot(case.banner)
    return made


class Follower:
    """Checks every byte as it comes and keeps none: `next` is the line that must follow."""

    def __init__(self) -> None:
        self.next = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        whole = self._rest + data
        count = len(whole) // LINE_BYTES
        expected = b"".join(line(self.next + place) for place in range(count))
        assert whole[: count * LINE_BYTES] == expected, f"after line {self.next}"
        self.next += count
        self._rest = whole[count * LINE_BYTES :]


async def follow(stub: Stub, vm: ContractVm, offset: int, lines: int) -> None:
    follower = Follower()
    request = node_pb2.ReadConsoleRequest(vm_id=vm.vm_id, offset=offset, follow=True)
    async for chunk in stub.ReadConsole(request):
        assert not chunk.HasField("gap"), chunk.gap
        if chunk.HasField("data"):
            follower.take(chunk.data.data[: max(0, offset + lines * LINE_BYTES - chunk.data.offset)])
        if follower.next >= lines:
            return


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(600, marks=[pytest.mark.faults, pytest.mark.timeout(900)]), 8],
    ids=["ten minutes", "a moment"],
)
async def test_f21_a_flood_is_served_and_kept_byte_by_byte(
    seconds: int, node: NodeProcess, node_stub: Stub, keeper_process: KeeperProcess, vm: ContractVm
) -> None:
    lines = LINES_A_SECOND * seconds
    command = f"flood {lines} {LINES_A_SECOND}"
    await vm.type(command)
    await vm.prints(b"\n" + line(0))
    offset = vm.console.index(line(0))
    before = node.resident_bytes()
    async with asyncio.timeout(seconds * 1.3 + 30):
        await asyncio.gather(*(follow(node_stub, vm, offset, lines) for _ in range(2)))
    assert node.resident_bytes() - before < 50 * MIB
    assert processes.usage(keeper_process.pid)["resident_bytes"] < 32 * MIB
    kept(keeper_process.runtime_dir / f"{vm.vm_id}.console.log", lines)


def kept(log: Path, lines: int) -> None:
    """What is on disk is the newest part, without a hole."""
    older = log.with_name(log.name + ".1")
    data = (older.read_bytes() if older.exists() else b"") + log.read_bytes()
    end = data.rindex(line(lines - 1)) + LINE_BYTES
    begin = data.index(b"\nflood ") + 1
    flood = data[begin:end]
    first = lines - len(flood) // LINE_BYTES
    assert flood == b"".join(line(number) for number in range(first, lines))
