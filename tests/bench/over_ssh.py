"""Of P8, what a key costs on a thin line: the bytes that the dashboard writes for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.measure import median, spread
from tests.bench.rows import Line
from tests.tui.terminal.test_few_bytes import MOVE, a_hundred, cost

SIZE = (160, 50)
LAST_ON_SCREEN = "\x1b[6~"


async def bytes_of_a_move() -> list[Line]:
    """A move of the cursor within the screen, and one that scrolls the whole list by a line."""
    with tempfile.TemporaryDirectory() as folder:
        async with a_hundred(Path(folder), SIZE) as terminal:
            within = [await cost(terminal, key) for key in "jk" * 5]
            await cost(terminal, LAST_ON_SCREEN)
            scrolling = [await cost(terminal, "j") for _ in range(10)]
    return [
        _line("within the screen", within),
        _line("that scrolls", scrolling),
    ]


def _line(what: str, costs: list[int]) -> Line:
    return Line(
        "P8",
        f"a cursor move {what}, 160×50",
        f"{median(costs):,.0f} bytes (most {max(costs):,})",
        "–",
        "≤ 2 KB",
        max(costs) <= MOVE,
        spread=spread(costs),
        limit="Two rows change in every cell; the terminal itself moves the lines that scroll.",
        samples={f"{what.replace(' ', '_')}_bytes": costs},
    )
