"""The driver contract's harness: a driver behind a real keeper, and one VM of it.

A `Case` is one hypervisor under test: how its driver is made and how its guest is told to do things. A `Vm`
is what a test holds: the spec, the process, what the console said, what the driver notified.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qarax_node import processes
from qarax_node.drivers.base import Driver, Exit, MachineSpec, Notify, Observation, Process, Status
from qarax_node.keeper_client import KeeperClient
from tests.node.keeping import until, until_async

BANNER = b"=== qarax guest is up: Linux"
PROMPT = b"# "
CMDLINE = "console=ttyS0 reboot=k panic=1"
MIB = 1 << 20
BOOT_SECONDS = 60.0


@dataclass(frozen=True)
class Shell:
    """Commands of a guest's shell; `read` prints the first line of a disk, `write` puts one there."""

    poweroff: str = "poweroff -f"
    reboot: str = "reboot -f"
    panic: str = "echo c > /proc/sysrq-trigger"
    read: str = "head -n 1 {disk}"
    write: str = "echo {text} | dd of={disk} conv=notrunc 2>/dev/null; sync"
    flood: str = "seq 1 20000"


@dataclass(frozen=True)
class Case:
    """One hypervisor. `make` gives a new driver; `shell` is how its guest is told to do things."""

    name: str
    kernel: Path
    initrd: Path
    make: Callable[[KeeperClient, Notify], Driver]
    shell: Shell
    banner: bytes = BANNER

    def spec(self, runtime_dir: Path, **changes: Any) -> MachineSpec:
        """A small VM with its directory made."""
        vm_id = str(uuid.uuid4())
        directory = runtime_dir / vm_id
        directory.mkdir(mode=0o700)
        spec = MachineSpec(
            vm_id=vm_id,
            name="contract",
            directory=directory,
            boot_vcpus=1,
            max_vcpus=1,
            memory_size=192 * MIB,
            kernel=self.kernel,
            initrd=self.initrd,
            cmdline=f"{CMDLINE} quiet",
        )
        return dataclasses.replace(spec, **changes)


class Vm:
    """One VM under test; `start` or `adopt` it first."""

    def __init__(self, case: Case, keeper: KeeperClient, spec: MachineSpec) -> None:
        self.case = case
        self.keeper = keeper
        self.spec = spec
        self.notes: list[Observation] = []
        self.driver = case.make(keeper, self.note)
        self.process: Process | None = None
        self._closed = False
        self._log = spec.directory.parent / f"{spec.vm_id}.console.log"

    def note(self, vm_id: str, observation: Observation) -> None:
        assert vm_id == self.spec.vm_id
        self.notes.append(observation)

    async def start(self) -> None:
        self.process = await self.driver.start(self.spec)

    async def boot(self) -> None:
        """Start and wait for the shell."""
        await self.start()
        await self.says(self.case.banner)
        await self.says(PROMPT, after=self.case.banner)

    async def says(self, text: bytes, after: bytes = b"", times: int = 1) -> None:
        """Wait until the console log has `text` (so many times, behind the first `after`)."""
        deadline = time.monotonic() + BOOT_SECONDS
        while (said := self.console())[said.find(after) :].count(text) < times:
            assert time.monotonic() < deadline, f"no {text!r}; the console ends with {said[-400:]!r}"
            await asyncio.sleep(0.02)

    def console(self) -> bytes:
        return self._log.read_bytes() if self._log.exists() else b""

    async def type(self, line: str) -> None:
        await self.keeper.input(self.spec.vm_id, "contract", line.encode() + b"\n", takeover=True)

    async def becomes(self, status: Status) -> None:
        """Wait until the driver observes `status`."""

        async def reached() -> bool:
            return (await self.driver.observe(self.spec)).status is status

        await until_async(reached, 30.0)

    async def notified(self, what: Callable[[Observation], bool]) -> None:
        await until(lambda: any(what(note) for note in self.notes), 30.0, "the notification")

    async def guest_is_off(self) -> Exit:
        """Wait until the driver says so, then end the VMM that waits to be asked, as the node does."""
        await self.notified(lambda note: note.status is Status.SHUTDOWN)
        await self.driver.end(self.spec)
        return await self.exit()

    async def exit(self, seconds: float = 20.0) -> Exit:
        """Wait until the VMM is gone and return how the keeper recorded it."""
        assert self.process is not None
        process = self.process
        assert await processes.wait_gone(process, seconds), "the VMM stays"
        found: list[Exit] = []

        async def recorded() -> bool:
            found.extend(ended for ended in await self.keeper.exits(0) if ended.pid == process.pid)
            return bool(found)

        await until_async(recorded)
        return found[0]

    async def close(self) -> None:
        """Let go of the driver, once; the VMM stays."""
        if not self._closed:
            self._closed = True
            await self.driver.close()
