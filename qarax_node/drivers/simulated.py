"""VMs in memory: for scale, demos and tests. Never chosen unless asked for; a restart finds them shut down.

The guest (`simulated_guest.py`) has a shell, obeys the power button (not with `qarax.ignore_power_button` on
its command line) and powers itself off after `qarax.lifetime=N` seconds.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from qarax_node.console.ring import Ring
from qarax_node.drivers.base import (
    Capability,
    DriverError,
    DriverFacts,
    Exit,
    MachineSpec,
    Observation,
    Process,
    Status,
    StopHow,
)
from qarax_node.drivers.simulated_guest import Shell, boot_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qarax_node.drivers.base import Notify
    from qarax_node.settings import Settings

LIFETIME = re.compile(r"(?:^|\s)qarax\.lifetime=(\d+)(?:\s|$)")
POWEROFF_SECONDS = 0.05


class _Guest:
    """One simulated VM that is on."""

    __slots__ = ("shell", "status", "timer")

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.status = Status.RUNNING
        self.timer: asyncio.TimerHandle | None = None


class SimulatedDriver:
    """Every method takes effect at once, `start` after the configured boot time."""

    def __init__(self, settings: Settings, notify: Notify) -> None:
        self._settings = settings
        self._notify = notify
        self._guests: dict[str, _Guest] = {}
        self._consoles: dict[str, Ring] = {}
        self._ends: dict[str, tuple[StopHow, str]] = {}
        self.on_console: Callable[[str], None] = lambda _: None

    @property
    def facts(self) -> DriverFacts:
        return DriverFacts(
            name="simulated",
            version="1",
            accelerator="none",
            usable=True,
            reason="nothing real runs",
            capabilities=frozenset(Capability),
        )

    async def preflight(self, spec: MachineSpec) -> None:
        """Everything can be simulated."""

    async def start(self, spec: MachineSpec) -> Process:
        if self._settings.simulated_boot_seconds:
            await asyncio.sleep(self._settings.simulated_boot_seconds)
        vm_id = spec.vm_id
        shell = Shell(lambda data: self._print(vm_id, data), lambda word: self._do(spec, word))
        guest = self._guests[vm_id] = _Guest(shell)
        self._ends.pop(vm_id, None)
        self._print(spec.vm_id, boot_log(spec))
        lifetime = LIFETIME.search(spec.cmdline)
        if lifetime:
            self._after(guest, float(lifetime[1]), spec.vm_id)
        return Process(0, 0, "")

    def _after(self, guest: _Guest, seconds: float, vm_id: str) -> None:
        guest.timer = asyncio.get_running_loop().call_later(seconds, self._power_off, vm_id)

    def _power_off(self, vm_id: str) -> None:
        if vm_id in self._guests:
            self._print(vm_id, b"\nreboot: Power down\n")
            self._gone(vm_id)

    def _gone(self, vm_id: str) -> None:
        guest = self._guests.pop(vm_id)
        if guest.timer is not None:
            guest.timer.cancel()
        self._notify(vm_id, Observation(Status.SHUTDOWN))

    def _do(self, spec: MachineSpec, word: str) -> None:
        """What the guest was told to do with its VM."""
        if word == "poweroff":
            self._power_off(spec.vm_id)
        elif word == "reboot":
            self._restart(spec)
            self._notify(spec.vm_id, Observation(Status.RUNNING, guest_rebooted=True))
        elif word == "panic":
            self._print(spec.vm_id, b"Kernel panic - not syncing: as typed\r\n")
            self._notify(spec.vm_id, Observation(Status.RUNNING, panicked=True))
        else:
            self._ends[spec.vm_id] = StopHow.CRASHED, "its simulated hypervisor crashed, as typed"
            self._gone(spec.vm_id)

    def _restart(self, spec: MachineSpec) -> None:
        self._print(spec.vm_id, b"\nreboot: Restarting system\n" + boot_log(spec))

    def _print(self, vm_id: str, data: bytes) -> None:
        self.console(vm_id).append(data)
        self.on_console(vm_id)

    def console(self, vm_id: str) -> Ring:
        """What the guest printed, to be read like a log."""
        return self._consoles.setdefault(vm_id, Ring())

    def type(self, vm_id: str, data: bytes) -> None:
        """Keyboard input."""
        self._guest(vm_id).shell.type(data)

    def _guest(self, vm_id: str) -> _Guest:
        guest = self._guests.get(vm_id)
        if guest is None:
            raise DriverError("the simulated VM is off", code="not_running", kind="state")
        return guest

    async def adopt(self, spec: MachineSpec, process: Process) -> Observation:
        """Nothing simulated outlives the node."""
        del process
        return await self.observe(spec)

    async def observe(self, spec: MachineSpec) -> Observation:
        guest = self._guests.get(spec.vm_id)
        return Observation(Status.SHUTDOWN if guest is None else guest.status)

    async def power_button(self, spec: MachineSpec) -> None:
        guest = self._guest(spec.vm_id)
        if "qarax.ignore_power_button" not in spec.cmdline.split():
            self._after(guest, POWEROFF_SECONDS, spec.vm_id)

    async def pause(self, spec: MachineSpec) -> None:
        self._guest(spec.vm_id).status = Status.PAUSED

    async def resume(self, spec: MachineSpec) -> None:
        self._guest(spec.vm_id).status = Status.RUNNING

    async def reboot(self, spec: MachineSpec) -> None:
        self._guest(spec.vm_id)
        self._restart(spec)

    async def end(self, spec: MachineSpec) -> None:
        self._power_off(spec.vm_id)

    async def exit_reason(self, spec: MachineSpec, ended: Exit) -> tuple[StopHow, str]:
        del ended
        return self._ends.get(spec.vm_id, (StopHow.GUEST_POWEROFF, ""))

    async def counters(self, spec: MachineSpec) -> Mapping[str, Mapping[str, int]]:
        self._guest(spec.vm_id)
        return {disk.id: {"read_bytes": 0, "write_bytes": 0} for disk in spec.disks}

    async def forget(self, spec: MachineSpec) -> None:
        """The console stays readable after the end, like a log."""

    def remove(self, vm_id: str) -> None:
        """The VM was deleted: its console goes."""
        self._consoles.pop(vm_id, None)
        self._ends.pop(vm_id, None)

    async def close(self) -> None:
        for guest in self._guests.values():
            if guest.timer is not None:
                guest.timer.cancel()
