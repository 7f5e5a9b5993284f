"""One VM of this host: its state, its lock, and the steps from `created` to `shutdown` and back.

    created --start--> running <--pause/resume--> paused
    running | paused --stop, guest powers off, VMM dies--> shutdown --start--> running

The VMM process exists from `start` to its end. That end is seen by pidfd; how it ended comes from the keeper
and the driver. Stopping is in `stopping.py`, the VMs together in `host.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING

from qarax_proto import node_pb2

from qarax_node.drivers.base import Exit, Observation, Status, StopHow
from qarax_node.errors import NodeError
from qarax_node.machines import spec as specs
from qarax_node.machines import starting, stopping
from qarax_node.machines.record import DETAILED, REASONS, LastStop, Record, Run
from qarax_node.network import interfaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import Any

    from qarax_node.drivers.base import Driver, MachineSpec
    from qarax_node.machines.stopping import Stop
    from qarax_node.machines.surroundings import Surroundings
    from qarax_node.processes import Process

LOGGER = logging.getLogger(__name__)
EXIT_RECORD_SECONDS = 2.0


class Machine:
    """A VM as this node knows it.

    A host has a thousand of them: what can be made when it is asked for is not kept.
    """

    __slots__ = (
        "_ended",
        "_exit_record",
        "_wanted",
        "around",
        "doing",
        "driver",
        "generation",
        "guest_is_off",
        "last_stop",
        "lock",
        "reason",
        "run",
        "status",
        "stopping",
        "vm_id",
    )

    def __init__(self, vm_id: str, wanted: node_pb2.VmSpec, driver: Driver, around: Surroundings) -> None:
        self.vm_id = sys.intern(vm_id)  # as pathlib does with each part of a path, anew each time
        self.driver = driver
        self.lock = asyncio.Lock()
        self.doing = ""
        self.status = Status.CREATED
        self.reason = ""
        self.run: Run | None = None
        self.last_stop: LastStop | None = None
        self.stopping: Stop | None = None
        self.guest_is_off = False
        self.around = around
        self.generation = 0
        self._ended: asyncio.Future[Exit] | None = None
        self._exit_record: asyncio.Future[Exit] | None = None
        self.spec_of(wanted)
        self.wish(wanted)

    @property
    def record(self) -> Record:
        """Its files."""
        durable = self.around.keeper is not None
        return Record(self.around.settings.runtime_dir / self.vm_id, durable=durable)

    @property
    def wanted(self) -> node_pb2.VmSpec:
        """What was asked for, a copy."""
        return node_pb2.VmSpec.FromString(self._wanted)

    @property
    def digest(self) -> str:
        """Of the spec, as `specs.digest` makes it."""
        return specs.digest_of(self._wanted)

    @property
    def spec(self) -> MachineSpec:
        """What a driver gets of the spec."""
        return self.spec_of(self.wanted)

    def wish(self, wanted: node_pb2.VmSpec) -> None:
        """Take a spec that `spec_of` has taken."""
        self._wanted = specs.to_bytes(wanted)

    def spec_of(self, wanted: node_pb2.VmSpec) -> MachineSpec:
        """What a driver would get of this spec. Raises NodeError for one that none could."""
        parent = self.around.settings.macvtap_parent
        directory = self.around.settings.runtime_dir / self.vm_id
        return specs.machine_spec(self.vm_id, wanted, directory, parent)

    @property
    def ended(self) -> asyncio.Future[Exit]:
        """How the VMM ended; done when it is known to be gone."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        return self._ended

    @property
    def exit_record(self) -> asyncio.Future[Exit]:
        """How the VMM ended, as the keeper has it."""
        if self._exit_record is None:
            self._exit_record = asyncio.get_running_loop().create_future()
        return self._exit_record

    @property
    def is_simulated(self) -> bool:
        return self.driver.facts.name == "simulated"

    def changed(self, status: Status | None = None, reason: str | None = None) -> None:
        """Set what is given and tell whoever watches."""
        self.status = self.status if status is None else status
        self.reason = self.reason if reason is None else reason
        self.around.changed(self)

    async def carry_out(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step to its end even when whoever asked for it goes away."""
        await asyncio.shield(self._begin(step))

    def _begin(self, step: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.around.steps.begin(step, f"VM {self.vm_id}")

    def later(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step in the background; it ends with the node."""
        self.around.waits.begin(step, f"VM {self.vm_id}")

    @contextlib.asynccontextmanager
    async def alone(self, doing: str) -> AsyncIterator[None]:
        """Hold the lock for one step; refused while the VM is being stopped or deleted."""
        if self.doing in ("stop", "delete"):
            raise NodeError(f"the VM is busy: {self.doing} is under way", code="vm_busy", kind="state")
        async with self.lock:
            self.doing = doing
            try:
                yield
            finally:
                self.doing = ""

    async def start(self, wanted: node_pb2.VmSpec | None = None) -> None:
        """Preflight, interfaces, spawn and boot; a VM that runs is left alone."""
        await starting.start(self, wanted)

    def began(self, process: Process, status: Status = Status.RUNNING, started_at_ms: int = 0) -> None:
        """A VMM of ours runs: watch for its end; one without `started_at_ms` is new and remembered."""
        run = Run(process, self.driver.facts.name, started_at_ms or int(time.time() * 1000))
        self.run, self._ended, self._exit_record = run, None, None
        self.guest_is_off = False
        try:
            if not started_at_ms:
                self.record.keep_run(run)
        except OSError as error:
            LOGGER.warning("VM %s: its process is known to the keeper alone: %s", self.vm_id, error)
        self.changed(status, "")
        if process.pid and not self.around.deaths.watch(process, self):
            self.vmm_is_gone()

    def vmm_is_gone(self) -> None:
        """The process has ended."""
        if self.run is not None:
            self._begin(self._has_ended(self.run))

    def exit_recorded(self, ended: Exit) -> None:
        """The keeper knows how a VMM of this VM ended."""
        if self.run is not None and self.run.process.pid == ended.pid and not self.exit_record.done():
            self.exit_record.set_result(ended)

    async def _has_ended(self, run: Run) -> None:
        """The process is gone: wait a moment for the keeper's word, then settle unless a stop does."""
        try:
            ended = await asyncio.wait_for(asyncio.shield(self.exit_record), EXIT_RECORD_SECONDS)
        except TimeoutError:
            ended = Exit(run.process.pid, None, time.time())
        if self.run is not run:
            return
        if not self.ended.done():
            self.ended.set_result(ended)
        async with self.lock:
            if self.run is run:
                await self.settle(ended)

    def noticed(self, seen: Observation) -> None:
        """The driver says that something changed; what a step under way does itself is left to it."""
        if self.run is None:
            return
        if seen.status is Status.SHUTDOWN:
            self._guest_is_off(self.run)
        elif not self.lock.locked() and seen.status in (Status.RUNNING, Status.PAUSED):
            reason = "the guest panicked" if seen.panicked else seen.reason
            if seen.guest_rebooted:
                reason = seen.reason or "the guest rebooted itself"
            if (seen.status, reason) != (self.status, self.reason):
                self.changed(seen.status, reason)

    def adopted(self, seen: Observation) -> None:
        """The driver has the VM again."""
        if seen.status is Status.SHUTDOWN:
            self.noticed(seen)
        else:
            self.changed(seen.status, "the guest panicked" if seen.panicked else seen.reason)

    def _guest_is_off(self, run: Run) -> None:
        self.guest_is_off = True
        if self.stopping is not None:
            self.stopping.news.set()
        if run.process.pid == 0 and not self.exit_record.done():
            self.exit_record.set_result(Exit(0, 0, time.time()))
            self._begin(self._has_ended(run))
        elif run.process.pid:
            self._begin(self._end_after_guest(run))

    async def _end_after_guest(self, run: Run) -> None:
        """The guest is off and its VMM is still there: end it, unless a stop does."""
        async with self.lock:
            if self.run is run:
                await stopping.force(self)
                await self.settle(self.ended.result())

    async def settle(self, ended: Exit, stop: Stop | None = None) -> None:
        """The VMM is gone: say how, clean up after it. Called with the lock held."""
        try:
            how, detail = await self.driver.exit_reason(self.spec, ended)
        except (NodeError, OSError) as error:
            how, detail = StopHow.INFERRED, str(error)
        reason = REASONS.get(how, "")
        seconds = 0.0
        if stop is not None:
            how, seconds, reason = stop.outcome(how)
        if detail and (how in DETAILED or (stop is None and how is StopHow.FORCED)):
            reason = f"{reason}: {detail}"
        self.last_stop = LastStop(how, round(seconds, 3), detail, reason, time.time())
        try:
            self.record.keep_stop(self.last_stop)
        except OSError as error:
            LOGGER.warning("VM %s: how it ended could not be kept: %s", self.vm_id, error)
        await self.clean_up()
        self.run = None
        self.changed(Status.SHUTDOWN, reason)

    async def clean_up(self) -> None:
        """Remove what a VMM that is gone has left: sockets, interfaces."""
        try:
            await self.driver.forget(self.spec)
            if not self.is_simulated:
                await interfaces.remove(self.vm_id, self.spec.networks)
        except NodeError as error:
            LOGGER.warning("VM %s: %s", self.vm_id, error)

    async def pause(self) -> None:
        """From running to paused; a paused VM is left alone."""
        async with self.alone("pause"):
            if self._is_already(Status.PAUSED, Status.RUNNING):
                return
            await self.driver.pause(self.spec)
            self.changed(Status.PAUSED, "")

    async def resume(self) -> None:
        """From paused to running; a running VM is left alone."""
        async with self.alone("resume"):
            if self._is_already(Status.RUNNING, Status.PAUSED):
                return
            await self.driver.resume(self.spec)
            self.changed(Status.RUNNING, "")

    async def reboot(self) -> None:
        """Reset the guest; the VMM stays."""
        async with self.alone("reboot"):
            self._is_already(Status.UNKNOWN, Status.RUNNING)
            await self.driver.reboot(self.spec)
            self.changed(Status.RUNNING, "")

    def _is_already(self, wanted: Status, source: Status) -> bool:
        if self.run is not None and self.status is wanted:
            return wanted is not Status.UNKNOWN or self._refuse(source)
        return self.status is not source and self._refuse(source)

    def _refuse(self, source: Status) -> bool:
        words = f"the VM is {self.status}; it must be {source} for this"
        raise NodeError(words, code="wrong_status", kind="state")
