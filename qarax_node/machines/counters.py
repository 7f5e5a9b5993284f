"""What a running VM has used: the devices' counters from its driver, the process's from the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_node import processes
from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qarax_node.machines.machine import Machine


async def read(machine: Machine) -> dict[str, Mapping[str, int]]:
    """Counters by device; those of the process under `vmm`."""
    run = machine.run
    if run is None:
        raise NodeError(f"the VM is {machine.status} and has no counters", code="wrong_status", kind="state")
    counted = dict(await machine.driver.counters(machine.spec))
    if run.process.pid:
        counted["vmm"] = {**counted.get("vmm", {}), **processes.usage(run.process.pid)}
    return counted
