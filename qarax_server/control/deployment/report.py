"""What an operator sees of a deployment while it runs and afterwards: its steps, the log of its commands.

It is the `progress` of the operation: `{mode, target, host_key, steps: [{name, status, detail, seconds}],
step, done, total, cancellable, log: [line], failure}`. The log keeps its newest lines.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_LINES = 120
LONGEST_LINE = 300


@dataclass
class StepReport:
    """One step. `status`: waiting running done unchanged failed cancelled."""

    name: str
    status: str = "waiting"
    detail: str = ""
    seconds: float | None = None


@dataclass
class Report:
    """All of it; `version` grows with each change, so that only changes are written."""

    mode: str
    target: str
    steps: list[StepReport]
    host_key: str = ""
    cancellable: bool = True
    failure: dict[str, Any] | None = None
    version: int = 1
    log: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _began: float = 0.0

    @classmethod
    def of(cls, mode: str, target: str, names: Sequence[str]) -> Report:
        """A report of nothing yet."""
        return cls(mode, target, [StepReport(name) for name in names])

    @property
    def step(self) -> StepReport | None:
        """The step that runs, or that the deployment ended in."""
        begun = [each for each in self.steps if each.status not in {"waiting", "done", "unchanged"}]
        return begun[-1] if begun else None

    def begin(self, name: str, *, cancellable: bool) -> None:
        """A step begins."""
        self._began = time.monotonic()
        self.cancellable = cancellable
        self._find(name).status = "running"
        self.version += 1

    def end(self, name: str, status: str, detail: str) -> None:
        """A step has ended."""
        step = self._find(name)
        step.status, step.detail = status, detail
        step.seconds = round(time.monotonic() - self._began, 1)
        self.version += 1

    def say(self, line: str) -> None:
        """Add a line to the log."""
        self.log.append(line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…")
        self.version += 1

    def show(self) -> dict[str, Any]:
        """What the operation carries as its progress."""
        done = sum(each.status in {"done", "unchanged"} for each in self.steps)
        return {
            "mode": self.mode,
            "target": self.target,
            "host_key": self.host_key or None,
            "step": self.step.name if self.step else None,
            "done": done,
            "total": len(self.steps),
            "cancellable": self.cancellable,
            "steps": [vars(each) for each in self.steps],
            "log": list(self.log),
            "failure": self.failure,
        }

    def _find(self, name: str) -> StepReport:
        return next(each for each in self.steps if each.name == name)
