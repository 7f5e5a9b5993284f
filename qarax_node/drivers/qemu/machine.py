"""One VM as this driver holds it: its monitor, and what its events mean.

`driver.py` asks, this translates: QMP's words into ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from qarax_node.drivers.base import DriverError, Observation, Status
from qarax_node.drivers.qemu import ending
from qarax_node.drivers.qemu.client import ANSWER_SECONDS, Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qarax_node.drivers.base import MachineSpec, Notify
    from qarax_node.processes import Process

POWERED_OFF = "the guest powered itself off"
PANICKED = "the guest panicked"
RUN_STATES = {"running": Status.RUNNING, "prelaunch": Status.CREATED, "shutdown": Status.SHUTDOWN}


class Machine:
    """A QEMU that runs, followed by its events from `follow` on."""

    def __init__(
        self, spec: MachineSpec, process: Process, notify: Notify, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self.process = process
        self.life = ending.load(spec.directory, process.pid)
        self.monitor = Monitor(spec.directory, self._hear, self._awake, answer_seconds)
        self._spec = spec
        self._notify = notify
        self._following = False
        self._trouble = ""
        self._looking: asyncio.Task[None] | None = None
        self._meanings = {
            "SHUTDOWN": self._shut_down,
            "RESET": self._reset,
            "GUEST_PANICKED": self._panicked,
            "BLOCK_IO_ERROR": self._disk_failed,
            "STOP": self._stopped,
            "RESUME": self._resumed,
        }

    def follow(self) -> None:
        """From now on tell what happens; what the start itself causes is nobody's news."""
        self._following = True

    async def observe(self) -> Observation:
        """Ask QEMU. A guest that powered off while nobody listened is noticed here."""
        answer = await self.monitor.execute("query-status")
        status = RUN_STATES.get(answer["status"], Status.PAUSED)
        if status is Status.SHUTDOWN:
            self._guest_is_off("guest-shutdown")
            return Observation(status, POWERED_OFF)
        if status is Status.PAUSED and answer["status"] != "paused":
            return Observation(status, self._trouble or f"QEMU paused the guest: {answer['status']}")
        return Observation(status, PANICKED if self.life.panicked else "", panicked=self.life.panicked)

    async def press_power_button(self) -> None:
        """Ask the guest; that it was asked is kept, for telling obedience from its own wish."""
        self.life.note(self._spec.directory, asked=True)
        await self.monitor.execute("system_powerdown")

    async def close(self) -> None:
        """Let go of QEMU."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self.monitor.close()

    def _awake(self) -> None:
        """It hung and answers again: whoever was told that it does not wants to know what it does now."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again(), name="qemu-awake")

    async def _look_again(self) -> None:
        with contextlib.suppress(DriverError):  # the next call says so, or its end
            self._tell(await self.observe())

    def _hear(self, event: Mapping[str, Any]) -> None:
        meaning = self._meanings.get(event["event"])
        if meaning is not None:
            meaning(event.get("data", {}))

    def _tell(self, observation: Observation) -> None:
        if self._following:
            self._notify(self._spec.vm_id, observation)

    def _shut_down(self, data: Mapping[str, Any]) -> None:
        if data["guest"]:
            self._guest_is_off(data["reason"])
            self._tell(Observation(Status.SHUTDOWN, POWERED_OFF))
        elif not self.life.guest_ended:
            self.life.note(self._spec.directory, host_ended=data["reason"])

    def _guest_is_off(self, reason: str) -> None:
        """Keep why; QEMU stays until it is ended, so that this can be noticed late."""
        if not self.life.guest_ended:
            self.life.note(self._spec.directory, guest_ended=reason)

    def _reset(self, data: Mapping[str, Any]) -> None:
        panicked = self.life.panicked
        self.life.note(self._spec.directory, panicked=False, asked=False)
        if data["guest"]:
            reason = "the guest panicked and rebooted" if panicked else ""
            self._tell(Observation(Status.RUNNING, reason, guest_rebooted=True, panicked=panicked))

    def _panicked(self, _: Mapping[str, Any]) -> None:
        if self.life.note(self._spec.directory, panicked=True):
            self._tell(Observation(Status.RUNNING, PANICKED, panicked=True))

    def _disk_failed(self, data: Mapping[str, Any]) -> None:
        if data["action"] == "stop":
            what = "the file system of its disk is full" if data.get("nospace") else data.get("reason", "")
            self._trouble = f"QEMU paused the guest: {what}; make that good, then resume"

    def _stopped(self, _: Mapping[str, Any]) -> None:
        if not self.life.guest_ended:
            self._tell(Observation(Status.PAUSED, self._trouble))

    def _resumed(self, _: Mapping[str, Any]) -> None:
        self._trouble = ""
        self._tell(Observation(Status.RUNNING))
