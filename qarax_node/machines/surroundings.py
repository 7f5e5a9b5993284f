"""What the VMs of a host share; `host.py` makes it, `machine.py` uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from qarax_node.drivers.registry import Registry
    from qarax_node.keeper_client import KeeperClient
    from qarax_node.machines.machine import Machine
    from qarax_node.processes import Deaths
    from qarax_node.settings import Settings
    from qarax_node.steps import Steps


@dataclass(frozen=True)
class Surroundings:
    """What every VM of a host has from it.

    `keeper` is None on a simulated host; `changed` tells of any change; `steps` run to their end, `waits` end
    with the node; `deaths` tells of a VMM's.
    """

    registry: Registry
    keeper: KeeperClient | None
    settings: Settings
    changed: Callable[[Machine], None]
    steps: Steps
    waits: Steps
    deaths: Deaths[Machine]
