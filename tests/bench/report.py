"""The table as text and as Markdown, and everything as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.rows import Line, verdict

HEADINGS = ("#", "what", "figure", "peer or floor", "ratio", "spread", "goal", "met")


def cells(line: Line) -> tuple[str, ...]:
    """One line as texts, in the order of the headings."""
    ratio = "–" if line.ratio is None else f"{line.ratio:.2f}×"
    spread = "–" if line.spread is None else f"{line.spread:.0%}"
    return (line.number, line.what, line.figure, line.peer, ratio, spread, line.goal, verdict(line))


def table(lines: Sequence[Line]) -> str:
    """The table for a terminal."""
    rows = [HEADINGS, *(cells(line) for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(lines: Sequence[Line]) -> str:
    """The table for docs/performance.md, with what limits each row below it."""
    text = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    text += [f"| {' | '.join(cell.replace('|', '∣') for cell in cells(line))} |" for line in lines]  # noqa: RUF001
    limits = dict.fromkeys((line.number, line.limit) for line in lines if line.limit)
    text += ["", "What limits each row:", ""]
    text += [f"- **{number}** {limit}" for number, limit in limits]
    return "\n".join(text) + "\n"


def keep(path: Path, facts: Mapping[str, Any], lines: Sequence[Line], growth: Mapping[str, Any]) -> None:
    """Write everything, raw samples too. Growth that was not measured now stays, with its own machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"machine": facts, "rows": [dataclasses.asdict(line) for line in lines]}
    kept |= {"growth": growth} if growth else _known_growth(path)
    path.write_text(json.dumps(kept) + "\n")


def _known_growth(path: Path) -> dict[str, Any]:
    known = json.loads(path.read_text()) if path.exists() else {}
    return {
        "growth": known.get("growth", {}),
        "growth_machine": known.get("growth_machine", known.get("machine")),
    }


def replace_section(document: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name -->` and `<!-- end of name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = document.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{document} has no section {begin} … {end}")
    document.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")
