"""`python -m tests.bench`: measures the rows of the performance table and how cost grows, and prints both.

A row that fails is printed with its reason and does not end the run; the exit code says so. Progress goes to
standard error, the table to standard output, raw samples and machine facts into a JSON file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import (
    consoles,
    creation,
    dashboards,
    footprint,
    growth,
    guests,
    lists,
    machine,
    placing,
    recovery,
    report,
    starting,
)
from tests.bench.rows import ROWS, Bench, Line
from tests.postgres import running_postgres

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
ROW_SECONDS = 600.0
FAMILIES = (lists, creation, placing, starting, guests, consoles, dashboards, footprint, recovery)
IN_USE = ("max_connections=200", "shared_buffers=256MB")
"""PostgreSQL as it is used: what was acknowledged is on disk."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code is 1 when a row could not be measured."""
    options = _parser().parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs start compiled, as installed ones do
    facts = machine.facts()
    say(machine.describe(facts))
    numbers = options.rows.split(",") if options.rows else sorted(ROWS, key=lambda number: int(number[1:]))
    unknown = set(numbers) - set(ROWS)
    if unknown:
        sys.exit(f"there is no row {', '.join(sorted(unknown))}: choose from {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory(prefix="qarax-bench-") as images, running_postgres(IN_USE) as postgres:
        postgres.migrate_template()
        bench = Bench(postgres, Path(images), options.quick, say)
        lines = asyncio.run(_measure(numbers, bench))
        sys.stdout.write(report.table(lines) + "\n")
        _keep(options, facts, lines, {})
        if options.growth:
            grown = asyncio.run(growth.measure(bench))
            sys.stdout.write(growth.table(grown) + "\n")
            _keep(options, facts, lines, grown)
    return int(any(line.failed for line in lines))


def _keep(
    options: argparse.Namespace, facts: dict[str, Any], lines: Sequence[Line], grown: dict[str, Any]
) -> None:
    report.keep(options.json, facts, lines, grown)
    say(f"raw samples and machine facts: {options.json}")
    if options.document:
        report.keep(DOCUMENT.parent / "performance" / "bench.json", facts, lines, grown)
        _write_document(facts, lines, grown)


async def _measure(numbers: Sequence[str], bench: Bench) -> list[Line]:
    lines: list[Line] = []
    for number in numbers:
        began = time.monotonic()
        say(f"{number} …")
        found = await _one(number, bench)
        lines += found
        for line in found:
            say(f"   {' · '.join(report.cells(line))}")
        say(f"{number} took {time.monotonic() - began:.0f} s")
    return lines


async def _one(number: str, bench: Bench) -> list[Line]:
    """The lines of one row; one that says why when it cannot be measured."""
    try:
        async with asyncio.timeout(ROW_SECONDS):
            return await ROWS[number](bench)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001 - pytest's failures are no Exceptions; the reason is reported
        return [Line.of_failure(number, error)]


def _write_document(facts: dict[str, Any], lines: Sequence[Line], grown: dict[str, Any]) -> None:
    report.replace_section(
        DOCUMENT, "machine", f"{machine.describe(facts)}\n\n`{facts['command']}`, {facts['date']}"
    )
    report.replace_section(DOCUMENT, "table", report.markdown(lines))
    if grown:
        growth.plot(grown, DOCUMENT.parent / "performance")
        report.replace_section(DOCUMENT, "growth", growth.markdown(grown))
    say(f"written: {DOCUMENT}")


def say(sentence: str) -> None:
    """Progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", metavar="P1,P2", default="", help="these rows only")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--no-growth", dest="growth", action="store_false", help="the table only")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "build" / "bench.json", help="where to keep all of it"
    )
    parser.add_argument(
        "--document", action="store_true", help="write table and plots into docs/performance.md"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
