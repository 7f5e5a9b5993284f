"""Which drivers this host offers, and which one runs a VM.

A VM that names no driver gets the default: Cloud Hypervisor where it can run, else the stand-in when the node
was started with one. Only what the operator allowed is offered; `simulated` only when named.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from qarax_node.drivers.absent import AbsentDriver
from qarax_node.drivers.kvm import why_no_kvm
from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qarax_node.drivers.base import Driver, DriverFacts


class Registry:
    """The drivers by name, in the order of preference."""

    def __init__(self, drivers: Sequence[Driver], stand_in: str = "") -> None:
        self._drivers = {driver.facts.name: driver for driver in drivers}
        self._stand_in = stand_in

    def facts(self) -> list[DriverFacts]:
        """What each driver says of itself, with who stands in for Cloud Hypervisor and why."""
        return [self._with_stand_in(driver.facts) for driver in self._drivers.values()]

    def _with_stand_in(self, facts: DriverFacts) -> DriverFacts:
        if facts.name != self._stand_in or self._default_name() != facts.name:
            return facts
        real = self._drivers.get("cloud_hypervisor")
        why = real.facts.reason if real is not None else why_no_kvm() or "it is not offered by this node"
        return dataclasses.replace(facts, stand_in=True, reason=f"it stands in for Cloud Hypervisor: {why}")

    def _default_name(self) -> str:
        real = self._drivers.get("cloud_hypervisor")
        if real is not None and real.facts.usable:
            return "cloud_hypervisor"
        if self._stand_in:
            return self._stand_in
        usable = [name for name, driver in self._drivers.items() if driver.facts.usable]
        return next(iter(usable or self._drivers), "cloud_hypervisor")

    def find(self, name: str) -> Driver:
        """The driver of this name, or the default for "". Raises NodeError `driver_missing`."""
        driver = self._drivers.get(name or self._default_name())
        if driver is None:
            offered = ", ".join(self._drivers) or "none"
            raise NodeError(
                f"this node does not offer the driver {name or self._default_name()}; it offers {offered}",
                code="driver_missing",
                field="driver",
            )
        return driver

    def find_or_absent(self, name: str) -> Driver:
        """As `find`, for a VM that is there already: a driver not offered now is stood for by a refusal."""
        try:
            return self.find(name)
        except NodeError:
            return AbsentDriver(name or self._default_name())

    async def close(self) -> None:
        """Let go of every hypervisor without touching a guest."""
        for driver in self._drivers.values():
            await driver.close()
