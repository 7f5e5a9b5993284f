"""What stands for a driver that a VM was made with and this node does not offer now.

Its VMs are shown, as `unknown` while their VMM lives; every step that needs the driver is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from qarax_node.drivers.base import DriverError, DriverFacts, Exit, MachineSpec, Observation, Process, StopHow

if TYPE_CHECKING:
    from collections.abc import Mapping


class AbsentDriver:
    """Refuses everything but letting go."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def facts(self) -> DriverFacts:
        return DriverFacts(self._name, "", "none", False, "it is not offered by this node", frozenset())

    def _refuse(self) -> NoReturn:
        raise DriverError(
            f"this node does not offer the driver {self._name}; start it with --driver {self._name}",
            code="driver_missing",
            kind="unavailable",
            field="driver",
        )

    async def preflight(self, spec: MachineSpec) -> None:
        del spec
        self._refuse()

    async def start(self, spec: MachineSpec) -> Process:
        del spec
        self._refuse()

    async def adopt(self, spec: MachineSpec, process: Process) -> Observation:
        del spec, process
        self._refuse()

    async def observe(self, spec: MachineSpec) -> Observation:
        del spec
        self._refuse()

    async def power_button(self, spec: MachineSpec) -> None:
        del spec
        self._refuse()

    async def pause(self, spec: MachineSpec) -> None:
        del spec
        self._refuse()

    async def resume(self, spec: MachineSpec) -> None:
        del spec
        self._refuse()

    async def reboot(self, spec: MachineSpec) -> None:
        del spec
        self._refuse()

    async def end(self, spec: MachineSpec) -> None:
        del spec
        self._refuse()

    async def exit_reason(self, spec: MachineSpec, ended: Exit) -> tuple[StopHow, str]:
        del spec, ended
        return StopHow.INFERRED, f"the driver {self._name} is not offered here"

    async def counters(self, spec: MachineSpec) -> Mapping[str, Mapping[str, int]]:
        del spec
        self._refuse()

    async def forget(self, spec: MachineSpec) -> None:
        """There is nothing to let go of."""

    async def close(self) -> None:
        """As `forget`."""
