"""A driver whose VMM is `serial_vmm.py`: real processes and consoles without a hypervisor."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from qarax_node import processes
from qarax_node.drivers.base import (
    Capability,
    DriverError,
    DriverFacts,
    Exit,
    MachineSpec,
    Notify,
    Observation,
    Process,
    Status,
    StopHow,
)
from qarax_node.keeper_client import KeeperClient
from tests.node.keeping import VMM

TOLD_TO = 15  # its exit status when somebody on the host ended it


def steer(directory: Path, text: str) -> None:
    """Give a `serial_vmm.py` its next command."""
    fresh = directory / "command.new"
    fresh.write_text(text)
    fresh.rename(directory / "command")


class ProcessDriver:
    """Obeys the power button unless the command line says `stubborn` or `misses-a-press` (the first one).

    Prints `bytes=N` bytes.
    """

    def __init__(self, keeper: KeeperClient, notify: Notify) -> None:
        self._keeper = keeper
        self._notify = notify
        self.ends = 0
        self.presses = 0

    @property
    def facts(self) -> DriverFacts:
        return DriverFacts("process", "1", "none", True, "", frozenset(Capability))

    async def preflight(self, spec: MachineSpec) -> None:
        if "refused" in spec.cmdline:
            raise DriverError("the command line says refused", code="refused", field="kernel_params")

    async def start(self, spec: MachineSpec) -> Process:
        total = next((word[6:] for word in spec.cmdline.split() if word.startswith("bytes=")), "0")
        socket = spec.directory / "serial.sock"
        socket.unlink(missing_ok=True)
        argv = [sys.executable, "-S", str(VMM), "--bytes", total, "--id", spec.vm_id]
        process = await self._keeper.spawn(
            spec.vm_id, argv, cwd=spec.directory, log=spec.directory / "vmm.log"
        )
        await self._keeper.attach(spec.vm_id, socket, "boot")
        return process

    async def adopt(self, spec: MachineSpec, process: Process) -> Observation:
        del spec
        assert processes.is_alive(process)
        return Observation(Status.RUNNING)

    async def observe(self, spec: MachineSpec) -> Observation:
        del spec
        return Observation(Status.RUNNING)

    async def power_button(self, spec: MachineSpec) -> None:
        self.presses += 1
        missed = "misses-a-press" in spec.cmdline and self.presses == 1
        if "stubborn" not in spec.cmdline and not missed:
            steer(spec.directory, "exit 0")

    async def pause(self, spec: MachineSpec) -> None: ...

    async def resume(self, spec: MachineSpec) -> None: ...

    async def reboot(self, spec: MachineSpec) -> None:
        steer(spec.directory, "rebind")

    async def end(self, spec: MachineSpec) -> None:
        self.ends += 1
        if "hangs" in spec.cmdline:
            raise DriverError("it does not answer", code="no_answer", kind="timeout")
        steer(spec.directory, "exit 0")

    async def exit_reason(self, spec: MachineSpec, ended: Exit) -> tuple[StopHow, str]:
        del spec
        if ended.status is None:
            return StopHow.INFERRED, "nobody saw its exit status"
        code = os.waitstatus_to_exitcode(ended.status)
        if code == TOLD_TO:
            return StopHow.FORCED, "somebody on this host told it to"
        return (StopHow.GUEST_POWEROFF, "") if code == 0 else (StopHow.CRASHED, f"status {code}")

    async def counters(self, spec: MachineSpec) -> Mapping[str, Mapping[str, int]]:
        del spec
        return {}

    async def forget(self, spec: MachineSpec) -> None: ...

    async def close(self) -> None: ...
