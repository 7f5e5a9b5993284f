"""The rows of the performance table: what each is called, and what a measurement of it says.

A row is an async function under `@row("P1")` that gets a `Bench` and returns one or more `Line`s.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.measure import LEAST_ROUNDS
from tests.postgres import TestServer

ABSENT = "not run"


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        number: of the row, `P1` to `P14`.
        what: is measured.
        figure: ours, as text with its unit.
        peer: theirs, or "not run: why".
        goal: as text.
        met: whether; None when it could not be judged.
        ratio: ours to theirs, where there is one.
        spread: the middle half of the samples as a share of their median.
        limit: one sentence on what limits it.
        samples: every raw sample, by name (the unit is in the name).
    """

    number: str
    what: str
    figure: str
    peer: str
    goal: str
    met: bool | None
    ratio: float | None = None
    spread: float | None = None
    limit: str = ""
    samples: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    failed: bool = False

    @classmethod
    def of_failure(cls, number: str, error: BaseException) -> Line:
        """What is printed of a row that could not be measured."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "bench" in Path(f.filename).parts]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        return cls(
            number, f"FAILED: {reason} ({type(error).__name__} at {place})", "–", "–", "–", None, failed=True
        )


@dataclass(frozen=True)
class Bench:
    """What a row gets: a PostgreSQL that syncs to disk, the size, a way to say how far it is, the rounds."""

    postgres: TestServer
    guest_images: Path
    quick: bool
    say: Callable[[str], None]
    rounds: int = LEAST_ROUNDS

    def size(self, full: int, quick: int) -> int:
        """`full`, or `quick` in a quick run."""
        return quick if self.quick else full


Row = Callable[[Bench], Awaitable[list[Line]]]
ROWS: dict[str, Row] = {}


def row(number: str) -> Callable[[Row], Row]:
    """Register a row."""

    def register(function: Row) -> Row:
        ROWS[number] = function
        return function

    return register


def verdict(line: Line) -> str:
    """Yes, no, or a dash where there is nothing to judge."""
    return "–" if line.met is None else "yes" if line.met else "NO"
