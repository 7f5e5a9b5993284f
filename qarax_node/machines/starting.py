"""Starting a VM: preflight, interfaces, spawn and boot; what fails leaves no process behind."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
from typing import TYPE_CHECKING

from qarax_node import processes
from qarax_node.drivers.base import Status
from qarax_node.errors import NodeError
from qarax_node.keeper_client import KeeperError
from qarax_node.machines import preflight
from qarax_node.machines import spec as specs
from qarax_node.network import interfaces

if TYPE_CHECKING:
    from qarax_proto import node_pb2

    from qarax_node.drivers.base import MachineSpec
    from qarax_node.machines.machine import Machine
    from qarax_node.processes import Process

LOGGER = logging.getLogger(__name__)
SWEEP_SECONDS = 5.0


async def start(machine: Machine, wanted: node_pb2.VmSpec | None = None) -> None:
    """Boot the VM, with another spec when one is given; a VM that runs is left alone."""
    async with machine.alone("start"):
        if machine.run is not None:
            _refuse_other(machine, wanted)
            return
        wanted = machine.wanted if wanted is None else wanted
        specs.check(wanted)
        spec = machine.spec_of(wanted)
        driver = machine.around.registry.find(wanted.driver)
        await preflight.check(driver, wanted, spec, machine.around.settings, starting=True)
        if specs.digest(wanted) != machine.digest:
            await asyncio.to_thread(machine.record.keep_spec, wanted)
        machine.driver = driver
        machine.wish(wanted)
        machine.began(await _boot(machine, spec))


def _refuse_other(machine: Machine, wanted: node_pb2.VmSpec | None) -> None:
    if wanted is not None and specs.digest(wanted) != machine.digest:
        raise NodeError("the VM runs with another spec; stop it first", code="vm_running", kind="state")
    if machine.status is Status.UNKNOWN:
        raise NodeError(
            f"the VM's hypervisor does not answer ({machine.reason}); stop it first",
            code="vm_unknown",
            kind="state",
        )


async def _boot(machine: Machine, spec: MachineSpec) -> Process:
    if machine.is_simulated:
        return await machine.driver.start(spec)
    networks = await interfaces.make(machine.vm_id, spec.networks)
    try:
        return await machine.driver.start(dataclasses.replace(spec, networks=networks))
    except BaseException:
        await sweep(machine)
        await interfaces.remove(machine.vm_id, spec.networks)
        raise
    finally:
        interfaces.release(networks)


async def sweep(machine: Machine) -> None:
    """After a start that failed or whose outcome is unknown: end the VMM that the keeper may still have."""
    keeper = machine.around.keeper
    if keeper is None or not keeper.connected:
        return
    try:
        entries = await keeper.entries()
    except KeeperError as error:
        LOGGER.warning("VM %s: what its start left is not known: %s", machine.vm_id, error)
        return
    for entry in entries:
        if entry.vm_id == machine.vm_id and entry.running:
            LOGGER.warning("VM %s: ending pid %d of a start that failed", machine.vm_id, entry.process.pid)
            processes.send_signal(entry.process, signal.SIGKILL)
            await processes.wait_gone(entry.process, SWEEP_SECONDS)
