"""Taking up the VMs that outlived the node: by pid, start time, boot id, and the VM's id on the command line.

Nothing is killed here: what is not ours, or no longer whole, is reported.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING

from qarax_node import processes
from qarax_node.drivers.base import Status, StopHow
from qarax_node.errors import NodeError
from qarax_node.keeper_client import KeeperError
from qarax_node.machines.record import REASONS, LastStop

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from qarax_node.keeper_client import KeeperExit
    from qarax_node.machines.ledger import Missed
    from qarax_node.machines.machine import Machine
    from qarax_node.machines.record import Run

LOGGER = logging.getLogger(__name__)
ADOPT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 1.0
LAST_PAUSE_SECONDS = 30.0
SIMULATED_RESTART = "the simulated host was restarted"


async def adopt(machine: Machine, run: Run | None, missed: Missed) -> None:
    """Set a VM's state from what is there: its VMM, or how that ended; `missed`: exits recorded."""
    machine.last_stop = machine.record.last_stop()
    if run is None:
        if machine.last_stop is not None:
            machine.changed(Status.SHUTDOWN, machine.last_stop.reason)
        return
    if is_ours(machine.vm_id, run.process, machine.record.directory):
        await _take_up(machine, run)
    else:
        await _settle_unseen(machine, run, missed.get((machine.vm_id, run.process.pid)))


def is_ours(vm_id: str, process: processes.Process, directory: Path) -> bool:
    """Whether this very process lives and belongs to this VM."""
    if process.pid == 0 or not processes.is_alive(process):
        return False
    if any(vm_id in argument for argument in processes.command_line(process.pid)):
        return True
    return _cwd(process.pid) == str(directory)


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115  pathlib would intern each pid and each part
    except OSError:
        return ""


async def _take_up(machine: Machine, run: Run) -> None:
    machine.began(run.process, Status.UNKNOWN, run.started_at_ms)
    if not await _reconnect(machine):
        machine.later(_try_again(machine))


async def _reconnect(machine: Machine) -> bool:
    """One attempt; False leaves the VM `unknown` with the reason."""
    mine = machine.run
    try:
        async with machine.lock, asyncio.timeout(ADOPT_SECONDS):
            if mine is None or machine.run is not mine:
                return True
            seen = await machine.driver.adopt(machine.spec, mine.process)
    except (NodeError, KeeperError, TimeoutError) as error:
        reason = str(error) or f"its hypervisor did not answer in {ADOPT_SECONDS:.0f} s"
        machine.changed(Status.UNKNOWN, reason)
        return False
    if machine.run is mine:
        machine.adopted(seen)
    return True


async def _try_again(machine: Machine) -> None:
    """Until the hypervisor answers, or the VM is gone."""
    mine, pause = machine.run, FIRST_PAUSE_SECONDS
    while machine.run is mine and machine.status is Status.UNKNOWN:
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE_SECONDS)
        if machine.run is mine and machine.status is Status.UNKNOWN and await _reconnect(machine):
            return


async def _settle_unseen(machine: Machine, run: Run, missed: KeeperExit | None) -> None:
    """Its VMM ended while no node watched: the host went down, the keeper saw it, or nobody did."""
    if run.process.pid == 0:
        how, reason = StopHow.INFERRED, SIMULATED_RESTART
    elif run.process.boot_id != processes.boot_id():
        how, reason = StopHow.HOST_REBOOT, REASONS[StopHow.HOST_REBOOT]
    else:
        machine.run = run
        await machine.settle(missed or processes.Exit(run.process.pid, None, time.time()))
        return
    machine.last_stop = LastStop(how, 0.0, "", reason, time.time())
    try:
        machine.record.keep_stop(machine.last_stop)
    except OSError as error:
        LOGGER.warning("VM %s: how it ended could not be kept: %s", machine.vm_id, error)
    await machine.clean_up()
    machine.changed(Status.SHUTDOWN, reason)


def find_strangers(runtime_dir: Path, known: Iterable[Machine], leftovers: Iterable[str]) -> list[str]:
    """A sentence for each leftover, and each process working below the runtime directory that is not ours."""
    pids = {machine.run.process.pid for machine in known if machine.run is not None}
    found = [
        f"{name} is left in {runtime_dir} without a spec; remove it when nothing needs it"
        for name in leftovers
    ]
    below = f"{runtime_dir}/"
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):  # noqa: PTH208  as above
        if pid not in pids and (cwd := _cwd(pid)).startswith(below):
            command = " ".join(processes.command_line(pid))[:120]
            found.append(f"pid {pid} ({command}) works in {cwd} and is no VM of this node")
    return found
