"""What a node says of itself and of its VMs, whatever the database has of them.

`nodes/wire.py` reads it from a node's stream; `control/` compares it with the rows in `models.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NodeFacts:
    """What a node says of itself and its host."""

    node_id: str
    boot_id: str
    version: str
    hostname: str
    cpus: int
    memory_bytes: int
    drivers: tuple[Mapping[str, Any], ...]
    degraded_reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a node observes of one VM; `generation` grows with every change of it on that node.

    `stop_how` is one of the contract's words (`obeyed`, `forced`, …) or empty; seconds from the request to
    the end, 0 when the node that counted them was gone. `doing` is the step that the node is at, or empty.
    """

    vm_id: str
    name: str
    status: str
    reason: str
    driver: str
    generation: int
    started_at_ms: int
    stop_how: str = ""
    stop_seconds: float = 0.0
    stop_detail: str = ""
    spec_digest: str = ""
    doing: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Everything a node knows, at the beginning of its stream."""

    facts: NodeFacts
    vms: tuple[Observation, ...]
    strangers: tuple[str, ...]


@dataclass(frozen=True)
class Heartbeat:
    """The node is alive."""


@dataclass(frozen=True)
class Removed:
    """A VM is gone from its node."""

    vm_id: str


NodeEvent = Snapshot | Heartbeat | Observation | Removed | NodeFacts
