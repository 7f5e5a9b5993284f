"""The table of what was played, and the count after it; a plugin, so that rows of all workers come together.

A scenario puts its row on its test's report. The longest tests go first, for the sake of the last one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

ROW = "fault scenario"


@dataclass
class Row:
    """One line of the table; seconds, or None where there is nothing to measure."""

    name: str
    load: str
    outcome: str = ""
    downtime: float | None = None
    repair: float | None = None

    def put_on(self, item: pytest.Item) -> None:
        """Hand it to whoever collects the reports."""
        item.user_properties.append((ROW, dataclasses.asdict(self)))


ROWS: list[Row] = []
OUTCOMES: dict[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take long begins first."""
    items.sort(key=_patience, reverse=True)


def _patience(item: pytest.Item) -> float:
    """Seconds that a long form is given."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and item.get_closest_marker("faults") else 0.0


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count each test once, by its failing phase, else its call; take its rows."""
    if report.when == "call" or report.outcome == "failed":
        OUTCOMES[report.nodeid] = report.outcome
    if report.when == "teardown":
        kept: list[Any] = [found for name, found in report.user_properties if name == ROW]
        ROWS.extend(Row(**each) for each in kept)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not ROWS:
        return
    terminalreporter.section("faults")
    terminalreporter.line(f"{'scenario':<10} {'load':<44} {'down s':>7} {'repair s':>8}  outcome")
    for row in sorted(ROWS, key=lambda each: (int(each.name.lstrip("F").split(",")[0]), each.load)):
        down, repair = (f"{each:.2f}" if each is not None else "–" for each in (row.downtime, row.repair))
        terminalreporter.line(f"{row.name:<10} {row.load:<44} {down:>7} {repair:>8}  {row.outcome[:120]}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End with the count, after pytest's own line."""
    if ROWS and not hasattr(config, "workerinput"):
        outcomes = list(OUTCOMES.values())
        print(f"{outcomes.count('passed')} passed, {outcomes.count('failed')} failed")  # noqa: T201
