"""The VMs that run, followed by their event files: what their guests do by themselves is told, or ended.

A guest that powers off leaves its VMM behind in `Created` (`--no-shutdown`): that is asked about and then
ended here. A guest's reboot and panic are told. Nothing polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qarax_node.drivers.base import Observation, Status
from qarax_node.drivers.cloud_hypervisor import boot, client, process, reasons
from qarax_node.drivers.cloud_hypervisor.events import FILE, EventFile, Watcher
from qarax_node.drivers.cloud_hypervisor.trimming import Trimmed
from qarax_node.processes import wait_gone
from qarax_node.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from qarax_node.drivers.base import MachineSpec, Notify
    from qarax_node.drivers.cloud_hypervisor.events import Event
    from qarax_node.processes import Process

LOGGER = logging.getLogger(__name__)
END_SECONDS = 3.0
LOG_BYTES = 1 << 18
REBOOTED = "vm/rebooted"
POWERED_OFF = "the guest powered off"
PANICKED = "the guest's kernel panicked"


@dataclass(slots=True)
class Watched:
    """A VMM that runs; nothing of its spec is kept, a host has a thousand of them.

    `expected` are events of what this driver asked for itself, `pressed` says that the power button was among
    that, `ending` is why the VMM is to end (a word of `reasons.py`).
    """

    vm_id: str
    process: Process
    file: EventFile
    log: Trimmed = field(default_factory=lambda: Trimmed(LOG_BYTES))
    number: int = -1
    expected: frozenset[str] = frozenset()
    pressed: bool = False
    ending: str = ""

    @property
    def directory(self) -> Path:
        """Where the VMM works."""
        return Path(self.file.directory)

    def note(self, why: str, detail: str = "") -> None:
        """For a node started later; a full disk must not keep a VM from ending."""
        try:
            reasons.note(self.directory, why, detail)
        except OSError as error:
            LOGGER.warning("VM %s: why it ends cannot be written down: %s", self.vm_id, error)

    def why_off(self) -> str:
        """Why a VMM is to end that is there no more for its guest's sake; "" while the guest is not off."""
        if not self.file.history.off:
            return ""
        return reasons.OBEYED if self.pressed else reasons.GUEST_OFF

    def will_end(self, why: str, detail: str = "") -> None:
        """Keep why, before it is asked to."""
        self.ending = why
        self.note(why, detail)


class Watching:
    """Every VM that runs, by id; one inotify descriptor for all of them, made with the first."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._vms: dict[str, Watched] = {}
        self._watcher: Watcher[Watched] | None = None
        self._steps = Steps("what guests do by themselves")

    def get(self, vm_id: str) -> Watched | None:
        """The VM when it runs, as far as this driver knows."""
        return self._vms.get(vm_id)

    def begin(self, spec: MachineSpec, vmm: Process) -> Watched:
        """Follow a VMM from now on. Raises DriverError when the kernel allows no more watches."""
        if self._watcher is None:
            self._watcher = Watcher(self._on_change)
        self.end(spec.vm_id)
        watched = Watched(spec.vm_id, vmm, EventFile(str(spec.directory)))
        watched.number = self._watcher.watch(watched.file.directory, watched)
        self._vms[spec.vm_id] = watched
        return watched

    def end(self, vm_id: str) -> None:
        """Follow it no more."""
        watched = self._vms.pop(vm_id, None)
        if watched is not None and self._watcher is not None:
            self._watcher.unwatch(watched.number)

    async def close(self) -> None:
        """Let go of every VM."""
        self._steps.cut()
        await asyncio.gather(*self._steps.under_way, return_exceptions=True)
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._vms.clear()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the caller, until `close`."""
        self._steps.begin(work)

    def catch_up(self, watched: Watched) -> None:
        """Act on the events there are by now."""
        self._on_change(watched, FILE)

    def take_up(self, watched: Watched) -> None:
        """Learn from the past events of an adopted VM; of those only a poweroff asks for anything."""
        watched.file.read()
        why = reasons.noted(watched.directory)[0]
        watched.pressed = why == reasons.PRESSED
        watched.ending = "" if watched.pressed else why
        if watched.file.history.off and not watched.ending:
            self.spawn(self._end_powered_off(watched))

    def _on_change(self, watched: Watched, name: str) -> None:
        if name == FILE:
            for event in watched.file.read():
                self._on_event(watched, event)
        elif name == process.LOG:
            _trim_log(watched)
        elif name == process.SERIAL and not watched.ending and REBOOTED not in watched.expected:
            # Its going shows a poweroff even when a full disk took the event.
            self.spawn(self._end_powered_off(watched))

    def _on_event(self, watched: Watched, event: Event) -> None:
        name = f"{event.get('source')}/{event.get('event')}"
        if name in watched.expected:
            watched.expected -= {name}
            return
        vm_id, status = watched.vm_id, watched.file.history.status
        if name == "vm/shutdown" and not watched.ending:
            self.spawn(self._end_powered_off(watched))
        elif name == REBOOTED:
            self._notify(vm_id, Observation(status, "the guest rebooted", guest_rebooted=True))
        elif name == "guest/panic":
            self._notify(vm_id, Observation(status, PANICKED, panicked=True))
        elif name in {"vm/paused", "vm/resumed"}:
            self._notify(vm_id, Observation(status))

    async def _end_powered_off(self, watched: Watched) -> None:
        """A VM that is off while its VMM goes on was left by its guest; a VMM that leaves answers no more."""
        vm_id, history = watched.vm_id, watched.file.history
        api = client.Client(watched.directory)
        state = await boot.state_of(api)
        if state == "Created" and not watched.ending and not history.rebooting:
            history.off = True  # a full disk may have taken the event
            watched.will_end(watched.why_off())
            await ask_quietly(api, "vmm.shutdown")
            gone = await wait_gone(watched.process, END_SECONDS)
            reason = POWERED_OFF if gone else f"{POWERED_OFF}, but its VMM does not end"
            self._notify(vm_id, Observation(Status.SHUTDOWN, reason))
        elif not state and history.off and not await wait_gone(watched.process, END_SECONDS):
            reason = f"{POWERED_OFF}, but its VMM does not answer"
            self._notify(vm_id, Observation(Status.SHUTDOWN, reason))


def _trim_log(watched: Watched) -> None:
    path = watched.directory / process.LOG
    with contextlib.suppress(FileNotFoundError):
        size = path.stat().st_size
        if watched.log.is_due(size):
            watched.log.trim(path, size)


async def ask_quietly(api: client.Client, endpoint: str) -> None:
    """A step on the way out: what is refused or lost is no matter, the next step follows."""
    try:
        await api.put(endpoint, seconds=END_SECONDS)
    except (client.RefusedError, client.AbsentError, client.UnansweredError) as error:
        LOGGER.debug("on the way out: %s", error)
