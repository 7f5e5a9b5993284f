"""The driver of Cloud Hypervisor: the protocol of `drivers/base.py` over one VMM process per VM.

Starting is in `boot.py`, bodies in `spec.py`, the wire in `client.py`, what guests do by themselves in
`watching.py`, ends in `reasons.py`. The VMM's death is the keeper's to see.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from qarax_node.drivers.base import COUNTERS_SECONDS, DriverError, Observation, Status
from qarax_node.drivers.cloud_hypervisor import boot, client, preflight, process, reasons
from qarax_node.drivers.cloud_hypervisor.probe import probe
from qarax_node.drivers.cloud_hypervisor.watching import (
    END_SECONDS,
    PANICKED,
    POWERED_OFF,
    REBOOTED,
    Watched,
    Watching,
    ask_quietly,
)
from qarax_node.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qarax_node.drivers.base import DriverFacts, Exit, MachineSpec, Notify, StopHow
    from qarax_node.drivers.cloud_hypervisor.events import History
    from qarax_node.keeper_client import KeeperClient
    from qarax_node.processes import Process

LOGGER = logging.getLogger(__name__)
OBSERVE_SECONDS = 2.0
REBOOT_SECONDS = 90.0
STATUSES = {
    "Running": Status.RUNNING,
    "Paused": Status.PAUSED,
    "BreakPoint": Status.PAUSED,  # builds with a debugger
    "Created": Status.SHUTDOWN,
    "Shutdown": Status.SHUTDOWN,  # named by the API, practically never answered
}
NOT_FOUND = 404
CUT_SHORT = "its start was cut short"


class CloudHypervisorDriver:
    """One per node. `chosen`: the operator named this driver; it is tried even where KVM looks unusable."""

    def __init__(
        self,
        keeper: KeeperClient,
        notify: Notify,
        *,
        binary: str = "cloud-hypervisor",
        chosen: bool = False,
        landlock: bool = False,
    ) -> None:
        self._installation = probe(binary, chosen=chosen, landlock=landlock)
        self._keeper = keeper
        self._landlock = landlock
        self._watching = Watching(notify)

    @property
    def facts(self) -> DriverFacts:
        return self._installation.facts()

    async def preflight(self, spec: MachineSpec) -> None:
        await asyncio.to_thread(preflight.check, spec, self._installation, landlock=self._landlock)

    async def start(self, spec: MachineSpec) -> Process:
        vmm = await boot.start(spec, self._keeper, self._installation.binary, landlock=self._landlock)
        try:
            self._watching.catch_up(self._watching.begin(spec, vmm))
        except DriverError:
            await process.kill(vmm)
            process.remove_sockets(spec.directory)
            raise
        return vmm

    async def adopt(self, spec: MachineSpec, process: Process) -> Observation:
        """The keeper has the console; what the guest did meanwhile is in the event file."""
        self._watching.take_up(self._watching.begin(spec, process))
        self._watching.spawn(self._attach_again(spec))
        return await self.observe(spec)

    async def observe(self, spec: MachineSpec) -> Observation:
        watched = self._watching.get(spec.vm_id)
        if watched is None or not is_alive(watched.process):
            return Observation(Status.SHUTDOWN, "it has no VMM")
        history = watched.file.history
        try:
            info = await client.Client(spec.directory).get("vm.info", OBSERVE_SECONDS)
        except client.RefusedError as error:
            if error.status == NOT_FOUND:
                return Observation(Status.SHUTDOWN, f"{CUT_SHORT}: its VMM holds no VM")
            return _last_seen(history, error)
        except (client.UnansweredError, client.AbsentError) as error:
            return _last_seen(history, error)
        status = STATUSES.get(str(info.get("state")), Status.UNKNOWN)
        return Observation(status, _why(status, history), panicked=history.panicked)

    async def power_button(self, spec: MachineSpec) -> None:
        watched = self._running(spec)
        if not watched.pressed and not watched.ending:
            watched.pressed = True
            watched.note(reasons.PRESSED)
        await self._ask(spec, "vm.power-button")

    async def pause(self, spec: MachineSpec) -> None:
        await self._reach(spec, "vm.pause", "Paused", "vm/paused")

    async def resume(self, spec: MachineSpec) -> None:
        await self._reach(spec, "vm.resume", "Running", "vm/resumed")

    async def reboot(self, spec: MachineSpec) -> None:
        """The keeper follows the serial socket. A VMM that could not build the VM again is of no more use."""
        watched = self._running(spec)
        watched.expected |= {REBOOTED}
        before, api = watched.file.history.reboots, client.Client(spec.directory)
        try:
            await api.put("vm.reboot", seconds=REBOOT_SECONDS)
        except client.RefusedError as error:
            if error.status != NOT_FOUND:
                watched.will_end(reasons.REBOOT_FAILED, error.words)
                await ask_quietly(api, "vmm.shutdown")
            watched.expected -= {REBOOTED}
            raise boot.refused(error, "state") from error
        except (client.UnansweredError, client.AbsentError) as error:
            state = await boot.state_of(api)
            self._watching.catch_up(watched)
            if state != "Running" or watched.file.history.reboots == before:
                raise boot.unanswered(error) from error

    async def end(self, spec: MachineSpec) -> None:
        watched = self._watching.get(spec.vm_id)
        if watched is None or not is_alive(watched.process):
            return
        if not watched.ending:
            watched.will_end(watched.why_off() or reasons.ASKED)
        api = client.Client(spec.directory)
        try:
            async with asyncio.timeout(END_SECONDS):
                await ask_quietly(api, "vm.shutdown")
                await ask_quietly(api, "vmm.shutdown")
        except TimeoutError as error:
            raise boot.unanswered(error) from error

    async def exit_reason(self, spec: MachineSpec, ended: Exit) -> tuple[StopHow, str]:
        watched = self._watching.get(spec.vm_id)
        if (
            watched is not None
            and watched.ending
            and reasons.noted(spec.directory)[0] in {"", reasons.PRESSED}
        ):
            return reasons.asked_reason(watched.ending, ended)
        return await asyncio.to_thread(reasons.exit_reason, spec.directory, ended)

    async def counters(self, spec: MachineSpec) -> Mapping[str, Mapping[str, int]]:
        """The devices' counters, and under `vmm` the memory the guest really has."""
        api = client.Client(spec.directory)
        try:
            devices: dict[str, dict[str, int]] = await api.get("vm.counters", COUNTERS_SECONDS)
            info = await api.get("vm.info", COUNTERS_SECONDS)
        except client.RefusedError as error:
            raise boot.refused(error, "state") from error
        except (client.UnansweredError, client.AbsentError) as error:
            raise boot.unanswered(error) from error
        return {**devices, "vmm": {"memory_actual_size": int(info.get("memory_actual_size", 0))}}

    async def forget(self, spec: MachineSpec) -> None:
        watched = self._watching.get(spec.vm_id)
        self._watching.end(spec.vm_id)
        if watched is None or not is_alive(watched.process):
            process.remove_sockets(spec.directory)

    async def close(self) -> None:
        await self._watching.close()

    # -- requests ----------------------------------------------------------------------------------------

    def _running(self, spec: MachineSpec) -> Watched:
        watched = self._watching.get(spec.vm_id)
        if watched is None:
            raise DriverError(f"VM {spec.name} has no VMM: start it first", code="not_running", kind="state")
        return watched

    async def _ask(self, spec: MachineSpec, endpoint: str) -> None:
        self._running(spec)
        try:
            await client.Client(spec.directory).put(endpoint)
        except client.RefusedError as error:
            raise boot.refused(error, "state") from error
        except (client.UnansweredError, client.AbsentError) as error:
            raise boot.unanswered(error) from error

    async def _reach(self, spec: MachineSpec, endpoint: str, state: str, event: str) -> None:
        """Ask for a state; one that is there already, or is after a lost answer, is a success."""
        watched = self._running(spec)
        watched.expected |= {event}
        try:
            await self._ask(spec, endpoint)
        except DriverError:
            watched.expected -= {event}
            if await boot.state_of(client.Client(spec.directory)) != state:
                raise

    async def _attach_again(self, spec: MachineSpec) -> None:
        """Nothing to the keeper that has it; one that was restarted takes it up."""
        try:
            await boot.attach_console(spec, self._keeper, "reboot")
        except DriverError as error:
            LOGGER.warning("VM %s: its console is not attached: %s", spec.vm_id, error)


def _last_seen(history: History, error: Exception) -> Observation:
    """Alive is not absent: what it last said of itself holds until it is gone."""
    reason = f"its VMM does not answer ({error}); last seen {history.status}"
    return Observation(history.status, reason, panicked=history.panicked)


def _why(status: Status, history: History) -> str:
    """A reason where the status alone does not say it all."""
    if status is Status.SHUTDOWN:
        return CUT_SHORT if history.status is Status.CREATED else POWERED_OFF
    return PANICKED if history.panicked else ""
