"""The VMs of this host together: created, found again after a restart, deleted; who is told.

Settling one VM is `machine.py`; what a restart finds is `adoption.py`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from qarax_node.drivers.base import StopHow
from qarax_node.drivers.simulated import SimulatedDriver
from qarax_node.errors import NodeError
from qarax_node.keeper_client import KeeperError
from qarax_node.machines import adoption, preflight, stopping
from qarax_node.machines import spec as specs
from qarax_node.machines.ledger import Ledger
from qarax_node.machines.machine import Machine
from qarax_node.machines.node_file import NodeFile
from qarax_node.machines.record import Record, Run
from qarax_node.machines.surroundings import Surroundings
from qarax_node.machines.watchers import Watchers
from qarax_node.network import interfaces
from qarax_node.processes import Deaths
from qarax_node.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from qarax_proto import node_pb2

    from qarax_node.drivers.base import Driver, Observation
    from qarax_node.drivers.registry import Registry
    from qarax_node.keeper_client import Detached, KeeperClient, KeeperExit
    from qarax_node.processes import Process
    from qarax_node.settings import Settings

LOGGER = logging.getLogger(__name__)
ADOPTION_SECONDS = 1.5
MOST_AT_ONCE = 32
MOST_STARTS_AT_ONCE = 4


class Host:
    """Every VM of this node. `keeper` is None for a simulated host."""

    def __init__(self, settings: Settings, registry: Registry, keeper: KeeperClient | None) -> None:
        self.settings = settings
        self.registry = registry
        self.keeper = keeper
        self.watchers = Watchers()
        self.strangers: list[str] = []
        self.node = NodeFile(settings.runtime_dir)
        steps, waits = Steps(told=(NodeError, KeeperError, OSError)), Steps()
        self._deaths = Deaths(Machine.vmm_is_gone)
        self._around = Surroundings(registry, keeper, settings, self._changed, steps, waits, self._deaths)
        self._machines: dict[str, Machine] = {}
        self.on_removed: Callable[[str], None] = lambda _: None
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._generation = 0
        self._ledger = None
        if keeper is not None:
            self._ledger = Ledger(keeper, self._exit, self._found, lambda: self.watchers.touch(""))
        self._adopting: set[asyncio.Task[None]] = set()
        self._steps = Steps("this node")
        self._autostarts = asyncio.Semaphore(MOST_STARTS_AT_ONCE)

    def machines(self) -> list[Machine]:
        return list(self._machines.values())

    def find(self, vm_id: str) -> Machine | None:
        return self._machines.get(vm_id)

    def get(self, vm_id: str) -> Machine:
        """The VM of this id. Raises NodeError `vm_missing`."""
        machine = self._machines.get(vm_id)
        if machine is None:
            raise NodeError(f"there is no VM {vm_id!r} on this node", code="vm_missing", kind="missing")
        return machine

    def _changed(self, machine: Machine) -> None:
        """A generation grows with every change of a VM on this node, over restarts too."""
        self._generation += 1
        machine.generation = self._generation
        self.watchers.touch(machine.vm_id)
        if self.keeper is not None:
            said = f"{machine.status}, {machine.reason}" if machine.reason else machine.status
            LOGGER.info("VM %s: %s", machine.vm_id, said)

    def console_lost(self, lost: Detached) -> None:
        """The keeper cannot get a console back: the VM runs on, and says so."""
        machine = self._machines.get(lost.vm_id)
        if machine is not None and machine.run is not None:
            machine.changed(reason=lost.reason)

    def noticed(self, vm_id: str, seen: Observation) -> None:
        """A driver saw something change."""
        machine = self._machines.get(vm_id)
        if machine is not None:
            machine.noticed(seen)

    @property
    def degraded(self) -> str:
        """Why this node cannot do all it should; "" when it can."""
        if self.node.degraded:
            return self.node.degraded
        if self.keeper is not None and not self.keeper.connected:
            return f"the keeper at {self.settings.keeper_socket} does not answer: no VM can be started"
        return ""

    async def load(self) -> None:
        """Find every VM again. Returns when all are adopted, or soon after with the slow ones `unknown`."""
        self.node.begin()
        self._generation = self.node.generation
        if self._ledger is not None:
            await self._ledger.open()
        leftovers = []
        turns = asyncio.Semaphore(MOST_AT_ONCE)
        for directory in sorted(self.settings.runtime_dir.iterdir()):
            if not _is_vm_id(directory.name) or not directory.is_dir():
                continue
            record = Record(directory, durable=self.keeper is not None)
            wanted = record.spec()
            if wanted is None:
                leftovers.append(directory.name)
                continue
            run = record.run() or self._half_started(directory.name, wanted)
            driver = self.registry.find_or_absent(run.driver if run else wanted.driver)
            try:
                machine = self._add(directory.name, wanted, driver)
            except NodeError as error:
                leftovers.append(f"{directory.name} ({error})")
                continue
            self._adopting.add(self._steps.begin(self._adopt(machine, run, turns)))
        if self._adopting:
            _, self._adopting = await asyncio.wait(self._adopting, timeout=ADOPTION_SECONDS)
        if self.keeper is not None:
            self.strangers = await asyncio.to_thread(
                adoption.find_strangers, self.settings.runtime_dir, self.machines(), leftovers
            )
        LOGGER.info(
            "%d VMs found, %d running", len(self._machines), sum(m.run is not None for m in self.machines())
        )

    async def _adopt(self, machine: Machine, run: Run | None, turns: asyncio.Semaphore) -> None:
        async with turns:
            await adoption.adopt(machine, run, {} if self._ledger is None else self._ledger.missed)
        if machine.wanted.autostart and machine.last_stop is not None and machine.run is None:
            await self._autostart(machine)

    def _half_started(self, vm_id: str, wanted: node_pb2.VmSpec) -> Run | None:
        """A VMM that the keeper started and the node did not live to record."""
        process = None if self._ledger is None else self._ledger.running.get(vm_id)
        if process is None:
            return None
        return Run(process, self.registry.find_or_absent(wanted.driver).facts.name, 0)

    def _found(self, vm_id: str, process: Process) -> None:
        """The keeper was away when this node came, and is back: what was half started then is adopted now."""
        machine = self._machines.get(vm_id)
        if machine is not None and machine.run is None:
            self._steps.begin(self._adopt_late(machine, process))

    async def _adopt_late(self, machine: Machine, process: Process) -> None:
        if self._adopting:
            await asyncio.wait(self._adopting)
        if machine.run is None and not machine.lock.locked() and self.find(machine.vm_id) is machine:
            LOGGER.warning(
                "VM %s: its start was cut off, and its VMM (pid %d) runs", machine.vm_id, process.pid
            )
            await adoption.adopt(machine, Run(process, machine.driver.facts.name, 0), {})

    async def _autostart(self, machine: Machine) -> None:
        """After a host reboot the keeper may come up later than this node."""
        if machine.last_stop is None or machine.last_stop.how is not StopHow.HOST_REBOOT:
            return
        try:
            async with self._autostarts:
                if self.keeper is not None:
                    await self.keeper.connect()
                if self.find(machine.vm_id) is machine:
                    await machine.start()
        except (NodeError, KeeperError) as error:
            LOGGER.warning("VM %s is not started again after the host's reboot: %s", machine.vm_id, error)
            machine.changed(reason=f"the host was rebooted; starting it again failed: {error}")

    def _exit(self, ended: KeeperExit) -> None:
        machine = self._machines.get(ended.vm_id)
        if machine is not None:
            machine.exit_recorded(ended)

    def _add(self, vm_id: str, wanted: node_pb2.VmSpec, driver: Driver) -> Machine:
        machine = self._machines[vm_id] = Machine(vm_id, wanted, driver, self._around)
        machine.generation = self._generation
        return machine

    async def create(self, vm_id: str, wanted: node_pb2.VmSpec, *, preflight_only: bool) -> Machine | None:
        """Preflight, directory and spec; again with the same spec gives the same VM. None: only checked."""
        if not _is_vm_id(vm_id):
            raise NodeError(f"{vm_id!r} is no UUID", code="vm_id_invalid", field="vm_id")
        specs.check(wanted)
        if preflight_only:
            await self._checked(vm_id, wanted)
            return None
        step = self._around.steps.begin(self._create(vm_id, wanted), f"VM {vm_id}")
        await asyncio.shield(step)  # half of it would be a VM that nobody knows
        return self._machines.get(vm_id)

    async def _create(self, vm_id: str, wanted: node_pb2.VmSpec) -> None:
        async with self._alone_with(vm_id):
            there = self._machines.get(vm_id)
            if there is not None:
                if there.digest != specs.digest(wanted):
                    raise NodeError(f"VM {vm_id} exists with another spec", code="vm_exists", kind="exists")
                return
            driver = await self._checked(vm_id, wanted)
            record = Record(self.settings.runtime_dir / vm_id, durable=self.keeper is not None)
            await asyncio.to_thread(record.create, wanted)
            self._add(vm_id, wanted, driver).changed()

    async def _checked(self, vm_id: str, wanted: node_pb2.VmSpec) -> Driver:
        """The driver of a VM that could be made here. Raises NodeError."""
        driver = self.registry.find(wanted.driver)
        directory = self.settings.runtime_dir / vm_id
        spec = specs.machine_spec(vm_id, wanted, directory, self.settings.macvtap_parent)
        await preflight.check(driver, wanted, spec, self.settings, starting=False)
        return driver

    def _alone_with(self, vm_id: str) -> asyncio.Lock:
        """Held while a VM is made or what is left of one is removed; kept while somebody waits for it."""
        return self._making.setdefault(vm_id, asyncio.Lock())

    async def delete(self, vm_id: str) -> None:
        """End the VMM at once and remove all that belongs to the VM; one that is not there is fine."""
        if _is_vm_id(vm_id):
            async with self._alone_with(vm_id):
                if vm_id not in self._machines:
                    await self._delete_leftover(vm_id)
        machine = self._machines.get(vm_id)
        if machine is None:
            return
        if machine.stopping is not None:
            machine.stopping.shorten(0)
        await machine.carry_out(self._delete(machine))

    async def _delete(self, machine: Machine) -> None:
        async with machine.lock:
            if self._machines.get(machine.vm_id) is not machine:
                return
            machine.doing = "delete"
            try:
                await self._remove(machine)
            finally:
                machine.doing = ""

    async def _remove(self, machine: Machine) -> None:
        if machine.run is not None:
            hard = stopping.Stop(0)
            hard.forced = True
            await stopping.force(machine)
            await machine.settle(machine.ended.result(), hard)
        await machine.driver.forget(machine.spec)
        if isinstance(machine.driver, SimulatedDriver):
            machine.driver.remove(machine.vm_id)
        if self.keeper is not None:
            await interfaces.remove(machine.vm_id, machine.spec.networks)
            await self.keeper.forget(machine.vm_id, remove=True)
        await asyncio.to_thread(machine.record.remove)
        del self._machines[machine.vm_id]
        self.watchers.touch(machine.vm_id)
        self.on_removed(machine.vm_id)
        LOGGER.info("VM %s: deleted", machine.vm_id)

    async def _delete_leftover(self, vm_id: str) -> None:
        """What an interrupted create or delete left of this VM; a process is never touched."""
        if self.keeper is not None and self.keeper.connected:
            await self.keeper.forget(vm_id, remove=True)
        await asyncio.to_thread(Record(self.settings.runtime_dir / vm_id).remove)

    async def close(self, seconds: float) -> None:
        """Let steps under way end, for so long; then let go without touching a guest."""
        if steps := self._around.steps.under_way:
            await asyncio.wait(steps, timeout=seconds)
        await self.registry.close()
        if self._ledger is not None:
            await self._ledger.close()
        self.node.close()
        self._around.waits.cut()
        self._deaths.close()
        self._steps.cut()


def _is_vm_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
