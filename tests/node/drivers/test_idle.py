"""Idle is idle: with VMs that do nothing, node and keeper use next to no processor, and little memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qarax_proto import node_pb2

from qarax_node import processes
from tests.node.drivers.harness import Case
from tests.node.drivers.node_process import NodeProcess
from tests.node.drivers.served import ServedVm, pooled_spec
from tests.node.keeping import KeeperProcess

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

WINDOW_SECONDS = 4.0
MIB = 1 << 20


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    return cloud_hypervisor_case


async def test_idle_is_idle(
    node: NodeProcess,
    node_stub: Stub,
    keeper_process: KeeperProcess,
    runtime_dir: Path,
    case: Case,
) -> None:
    await node_stub.Describe(node_pb2.DescribeRequest(), wait_for_ready=True, timeout=20)
    vms = [ServedVm(node_stub, runtime_dir) for _ in range(4)]
    for vm in vms:
        await vm.create(pooled_spec(case, runtime_dir.parent / "pool"))
        await vm.start()
        await vm.says(b"# ")
    assert (await vms[0].pause(timeout=5)).status == node_pb2.VmState.STATUS_PAUSED

    def used() -> float:
        return node.cpu_seconds() + processes.usage(keeper_process.pid)["cpu_milliseconds"] / 1000

    before = used()
    await asyncio.sleep(WINDOW_SECONDS)  # the time is what is measured
    assert used() - before <= 0.01 * WINDOW_SECONDS
    memory = node.resident_bytes() + processes.usage(keeper_process.pid)["resident_bytes"]
    assert memory <= 72 * MIB, (
        "leaves 8 MiB for a thousand VMs; the rest of their cost is a row of the performance table"
    )
