"""Counters of one VM over the last minutes, turned into rates."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT = 120


@dataclass(slots=True)
class Samples:
    """Rates per second, oldest first: `cpu` in CPUs, the others in bytes.

    `memory` is no rate but the VMM's resident size.
    """

    cpu: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    memory: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    disk: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    network: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    problem: str = ""
    _at: float | None = None
    _totals: dict[str, float] = field(default_factory=dict)

    def add(self, at: float, metrics: Mapping[str, Any]) -> None:
        """Take over an answer of `GET /vms/{id}/metrics`, read at `at` (Unix seconds)."""
        counters = metrics.get("counters")
        totals = _totals(counters if isinstance(counters, dict) else {})
        self.problem = ""
        self.memory.append(totals.pop("memory", 0.0))
        if self._at is not None and at > self._at:
            seconds = at - self._at
            for name, series in (("cpu", self.cpu), ("disk", self.disk), ("network", self.network)):
                gone = totals[name] - self._totals.get(name, totals[name])
                series.append(max(0.0, gone / seconds))
        self._at, self._totals = at, totals


def _totals(counters: Mapping[str, Any]) -> dict[str, float]:
    found = {"cpu": 0.0, "disk": 0.0, "network": 0.0, "memory": 0.0}
    for device, values in counters.items():
        for name, value in (values if isinstance(values, dict) else {}).items():
            kind = _kind(device, name)
            if kind and isinstance(value, int):
                found[kind] += value / 1000 if kind == "cpu" else value
    return found


def _kind(device: str, name: str) -> str:
    if name == "cpu_milliseconds":
        return "cpu"
    if device == "vmm" and "bytes" in name:
        return "memory"
    if name in {"read_bytes", "write_bytes"}:
        return "disk"
    return "network" if name in {"rx_bytes", "tx_bytes"} else ""
