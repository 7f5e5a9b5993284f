"""The QEMU driver: real VMs on any host, in Cloud Hypervisor's place or for their own sake.

`machine.py` holds one VM, `spec.py` builds its command line, `process.py` spawns it through the keeper.
A QEMU that hangs costs only its own VM's calls their deadline.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from qarax_node import processes
from qarax_node.drivers.base import (
    COUNTERS_SECONDS,
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
from qarax_node.drivers.qemu import counters as counting
from qarax_node.drivers.qemu import ending, images, preflight
from qarax_node.drivers.qemu import process as vmm
from qarax_node.drivers.qemu import spec as command
from qarax_node.drivers.qemu.client import ANSWER_SECONDS
from qarax_node.drivers.qemu.machine import Machine
from qarax_node.drivers.qemu.probe import probe
from qarax_node.keeper_client import KeeperClient, KeeperError
from qarax_node.storage import threads

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "qemu"
# Prefaulting a large memory comes before QEMU's first answer.
START_SECONDS = 30.0
EXIT_SECONDS = 2.0
IMAGE_SECONDS = 10.0
CAPABILITIES = frozenset(
    {
        Capability.PAUSE,
        Capability.REBOOT,
        Capability.POWER_BUTTON,
        Capability.CONSOLE_INPUT,
        Capability.COUNTERS,
        Capability.DISKS,
        Capability.QCOW2,
        Capability.TAP,
        Capability.MACVTAP,
        Capability.OFFLOADS,
        Capability.MULTI_QUEUE,
        Capability.CPU_TOPOLOGY,
        Capability.HUGEPAGES,
        Capability.SHARED_MEMORY,
        Capability.PREFAULT,
        Capability.MERGEABLE,
    }
)


class QemuDriver:
    """One for the whole node; `answer_seconds` is how long a QEMU may take to answer."""

    def __init__(
        self,
        keeper: KeeperClient,
        notify: Notify,
        *,
        binary: str = "qemu-system-x86_64",
        accelerator: str = "",
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._keeper = keeper
        self._notify = notify
        self._installed = probe(binary, accelerator)
        self._answer_seconds = answer_seconds
        self._machines: dict[str, Machine] = {}

    @property
    def facts(self) -> DriverFacts:
        installed = self._installed
        return DriverFacts(
            name=NAME,
            version=installed.version,
            accelerator=installed.accelerator,
            usable=not installed.fault,
            reason=installed.fault or (f"no KVM: {installed.reason}" if installed.reason else ""),
            capabilities=CAPABILITIES,
        )

    async def preflight(self, spec: MachineSpec) -> None:
        preflight.check(spec, self._installed)
        for number, disk in enumerate(spec.disks):
            pool = str(disk.path.parent)
            await threads.run(pool, IMAGE_SECONDS, functools.partial(images.check, number, disk))

    async def start(self, spec: MachineSpec) -> Process:
        await self.preflight(spec)
        preflight.check_taps(spec)
        await self.forget(spec)
        log_start = vmm.log_size(spec.directory)
        started = await vmm.spawn(self._keeper, spec, command.command_line(spec, self._installed))
        machine = self._hold(spec, started)
        try:
            await self._boot(spec, machine)
        except BaseException as error:
            gone = isinstance(error, DriverError) and await processes.wait_gone(started, EXIT_SECONDS)
            await vmm.kill(self._keeper, spec.vm_id, started)
            await self.forget(spec)
            if gone:
                raise _refusal(vmm.last_words(spec.directory, log_start)) from error
            raise
        machine.follow()
        return started

    async def _boot(self, spec: MachineSpec, machine: Machine) -> None:
        """Only with the console attached does the guest get its first instruction."""
        await machine.monitor.execute("query-status", START_SECONDS)
        try:
            await self._keeper.attach(spec.vm_id, spec.directory / vmm.SERIAL_SOCKET, "boot")
        except KeeperError as error:
            raise vmm.keeper_failure(error) from error
        await machine.monitor.execute("cont")

    async def adopt(self, spec: MachineSpec, process: Process) -> Observation:
        await self._let_go(spec)
        machine = self._hold(spec, process)
        machine.follow()
        seen = await machine.observe()
        if seen.status is not Status.CREATED:
            return seen
        await self._boot(spec, machine)  # its node was gone before the guest's first instruction
        return await machine.observe()

    async def observe(self, spec: MachineSpec) -> Observation:
        return await self._machine(spec).observe()

    async def power_button(self, spec: MachineSpec) -> None:
        await self._machine(spec).press_power_button()

    async def pause(self, spec: MachineSpec) -> None:
        await self._machine(spec).monitor.execute("stop")

    async def resume(self, spec: MachineSpec) -> None:
        await self._machine(spec).monitor.execute("cont")

    async def reboot(self, spec: MachineSpec) -> None:
        await self._machine(spec).monitor.execute("system_reset")

    async def end(self, spec: MachineSpec) -> None:
        try:
            await self._machine(spec).monitor.execute("quit")
        except DriverError as error:
            if error.kind != "unavailable":  # it went before it answered
                raise

    async def exit_reason(self, spec: MachineSpec, ended: Exit) -> tuple[StopHow, str]:
        machine = self._machines.get(spec.vm_id)
        known = machine is not None and machine.life.pid == ended.pid
        life = machine.life if machine is not None and known else ending.load(spec.directory, ended.pid)
        return ending.explain(life, ended, spec.directory)

    async def counters(self, spec: MachineSpec) -> Mapping[str, Mapping[str, int]]:
        machine = self._machine(spec)
        stats = await machine.monitor.execute("query-blockstats", COUNTERS_SECONDS)
        found = counting.measure(spec, machine.process, stats)
        memory = await machine.monitor.execute("query-memory-size-summary", COUNTERS_SECONDS)
        return {**found, "vmm": {"memory_actual_size": sum(memory.values())}}

    async def forget(self, spec: MachineSpec) -> None:
        await self._let_go(spec)
        vmm.remove_sockets(spec.directory)

    async def close(self) -> None:
        machines, self._machines = self._machines, {}
        for machine in machines.values():
            await machine.close()

    async def _let_go(self, spec: MachineSpec) -> None:
        machine = self._machines.pop(spec.vm_id, None)
        if machine is not None:
            await machine.close()

    def _hold(self, spec: MachineSpec, process: Process) -> Machine:
        machine = Machine(spec, process, self._notify, self._answer_seconds)
        self._machines[spec.vm_id] = machine
        return machine

    def _machine(self, spec: MachineSpec) -> Machine:
        machine = self._machines.get(spec.vm_id)
        if machine is None:
            raise DriverError(f"VM {spec.name} has no QEMU here", code="not_running", kind="state")
        return machine


def _refusal(words: str) -> DriverError:
    """QEMU ended before the guest ran: what it said tells why."""
    if 'Failed to get "' in words:
        sentence = f"a disk of this VM is in use by another process: {words}"
        return DriverError(sentence, code="disk_locked", field="disks")
    field = "boot_source_id" if "kernel" in words or "initrd" in words else ""
    return DriverError(
        f"QEMU refused to start: {words or 'it said nothing'}", code="vmm_refused", field=field
    )
