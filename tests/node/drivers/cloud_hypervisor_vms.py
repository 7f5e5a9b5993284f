"""What the tests of the Cloud Hypervisor driver share: VMs with faults, what is left of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qarax_node.drivers.base import DriverError, Process
from qarax_node.keeper_client import KeeperClient
from tests.node.drivers.harness import CMDLINE, Case, Vm
from tests.node.keeping import KeeperProcess, kill_vmms


def words(*knobs: str) -> str:
    """A command line that asks the stand-in for faults."""
    return " ".join([CMDLINE, *(f"standin.{knob}" for knob in knobs)])


def vmms(runtime_dir: Path) -> list[int]:
    """Every process that works below the runtime directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(runtime_dir) in str((entry / "cwd").readlink()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


async def refused(vm: Vm) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await vm.start()
    return caught.value


def started_as(vm: Vm) -> Process:
    assert vm.process is not None
    return vm.process


class vm_with:  # noqa: N801  reads as a verb
    """A VM below a keeper of its own whose hypervisors get these fault words from their start."""

    def __init__(self, tmp_path: Path, case: Case, *knobs: str) -> None:
        self.runtime_dir = tmp_path / "own"
        self.runtime_dir.mkdir(mode=0o700, parents=True)
        self.process = KeeperProcess(self.runtime_dir)
        self.knobs = " ".join(knobs)
        self.case = case

    async def __aenter__(self) -> Vm:
        self.process.start(CLOUD_HYPERVISOR_STAND_IN=self.knobs)
        self.keeper = KeeperClient(self.process.socket)
        await self.keeper.connect()
        self.vm = Vm(self.case, self.keeper, self.case.spec(self.runtime_dir))
        return self.vm

    async def __aexit__(self, *_: object) -> None:
        await self.vm.close()
        await self.keeper.close()
        self.process.kill()
        kill_vmms(self.runtime_dir)
