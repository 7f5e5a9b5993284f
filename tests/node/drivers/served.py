"""A case's guest as the server would ask a node for it, and a VM driven through that node."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qarax_proto import node_pb2

from qarax_node.settings import Settings
from tests.node.drivers.harness import CMDLINE, MIB, Case
from tests.node.serving import FENCE, new_id, settings

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

VmState = node_pb2.VmState


def settings_of(case: Case, runtime_dir: Path, binary: Path) -> Settings:
    """A node with this case's driver alone."""
    return settings(runtime_dir, drivers=(case.name,), cloud_hypervisor_binary=str(binary))


def pooled(pool: Path, source: Path) -> node_pb2.FileReference:
    """A copy of a file in a pool."""
    pool.mkdir(mode=0o755, exist_ok=True)
    return node_pb2.FileReference(pool_path=str(pool), path=str(shutil.copy(source, pool)))


def pooled_spec(case: Case, pool: Path, **more: Any) -> node_pb2.VmSpec:
    """The case's guest, its files in a pool."""
    fields: dict[str, Any] = {
        "name": "served",
        "boot_vcpus": 1,
        "max_vcpus": 1,
        "memory_size": 192 * MIB,
        "memory_thp": True,
        "cmdline": f"{CMDLINE} quiet",
        "config_json": "{}",
        "kernel": pooled(pool, case.kernel),
        "initrd": pooled(pool, case.initrd),
        **more,
    }
    return node_pb2.VmSpec(**fields)


class ServedVm:
    """One VM, asked for and watched over gRPC."""

    def __init__(self, stub: Stub, runtime_dir: Path, vm_id: str = "") -> None:
        self.vm_id = vm_id or new_id()
        self._stub = stub
        self._log = runtime_dir / f"{self.vm_id}.console.log"

    async def create(self, spec: node_pb2.VmSpec) -> None:
        await self._stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=self.vm_id, spec=spec))

    async def start(self) -> node_pb2.VmState:
        return await self._stub.StartVm(node_pb2.StartVmRequest(fence=FENCE, vm_id=self.vm_id))

    async def stop(self, grace: int) -> node_pb2.VmState:
        request = node_pb2.StopVmRequest(fence=FENCE, vm_id=self.vm_id, grace_seconds=grace)
        return await self._stub.StopVm(request)

    async def pause(self, timeout: float) -> node_pb2.VmState:  # noqa: ASYNC109  the call's own deadline
        return await self._stub.PauseVm(self._request(), timeout=timeout)

    async def resume(self) -> node_pb2.VmState:
        return await self._stub.ResumeVm(self._request())

    async def reboot(self) -> node_pb2.VmState:
        return await self._stub.RebootVm(self._request())

    async def delete(self) -> None:
        await self._stub.DeleteVm(self._request())

    async def state(self) -> node_pb2.VmState:
        return await self._stub.GetVm(node_pb2.GetVmRequest(vm_id=self.vm_id))

    async def type(self, line: str) -> None:
        typed = node_pb2.ConsoleInput(
            vm_id=self.vm_id, writer="test", data=line.encode() + b"\n", takeover=True
        )
        async for _ in self._stub.WriteConsole(iter([typed])):
            pass

    async def says(self, text: bytes, times: int = 1, seconds: float = 60.0) -> None:
        """Wait until the console log has `text`, so many times."""
        deadline = time.monotonic() + seconds
        while not self._log.exists() or self._log.read_bytes().count(text) < times:
            assert time.monotonic() < deadline, f"the guest never said {text!r}"
            await asyncio.sleep(0.02)

    async def becomes(
        self, what: Callable[[node_pb2.VmState], bool], seconds: float = 30.0
    ) -> tuple[node_pb2.VmState, float]:
        """Wait until the node says so; the state and how many seconds it took."""
        began = time.monotonic()
        while not what(state := await self.state()):
            assert time.monotonic() < began + seconds, f"it is still: {state}"
            await asyncio.sleep(0.02)
        return state, time.monotonic() - began

    def _request(self) -> node_pb2.VmRequest:
        return node_pb2.VmRequest(fence=FENCE, vm_id=self.vm_id)
