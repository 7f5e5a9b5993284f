"""A plot as SVG, both axes logarithmic: how a cost grows with a size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 320, 70, 190, 40, 45
COLOURS = ("#2563eb", "#d97706", "#059669")
Points = Sequence[tuple[float, float]]
STYLE = "font-family='sans-serif' font-size='12' fill='#334155'"


def plot(title: str, unit: str, series: Mapping[str, Points]) -> str:
    """The picture: one line per series, each point with its value."""
    sizes = [x for points in series.values() for x, _ in points]
    costs = [y for points in series.values() for _, y in points]
    across, up = Axis(sizes, LEFT, WIDTH - RIGHT), Axis(costs, HEIGHT - BOTTOM, TOP)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' {STYLE}>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#ffffff'/>",
        f"<text x='{LEFT}' y='22' font-size='14'>{escape(title)} ({escape(unit)})</text>",
        *(_gridline(power, across, upright=True) for power in across.powers),
        *(_gridline(power, up, upright=False) for power in up.powers),
    ]
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(across.place(x), up.place(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>" for x, y in places]
        parts += [
            f"<text x='{x + 6:.1f}' y='{y - 6:.1f}' font-size='10' fill='{colour}'>{value:.3g}</text>"
            for (x, y), (_, value) in zip(places, points, strict=True)
        ]
        parts.append(
            f"<text x='{WIDTH - RIGHT + 48}' y='{TOP + 18 * number + 8}' fill='{colour}'>"
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


class Axis:
    """From a value to its place; `powers` are the powers of ten that it spans."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        lowest, highest = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self.powers = range(lowest, max(highest, lowest + 1) + 1)
        self._begin, self._step = begin, (end - begin) / (len(self.powers) - 1)

    def place(self, value: float) -> float:
        return self._begin + (math.log10(value) - self.powers[0]) * self._step


def _gridline(power: int, axis: Axis, *, upright: bool) -> str:
    at, label = axis.place(10.0**power), f"{10.0**power:,g}"
    if upright:
        line = f"<line x1='{at:.1f}' y1='{TOP}' x2='{at:.1f}' y2='{HEIGHT - BOTTOM}' stroke='#e2e8f0'/>"
        return f"{line}<text x='{at:.1f}' y='{HEIGHT - BOTTOM + 18}' text-anchor='middle'>{label}</text>"
    line = f"<line x1='{LEFT}' y1='{at:.1f}' x2='{WIDTH - RIGHT}' y2='{at:.1f}' stroke='#e2e8f0'/>"
    return f"{line}<text x='{LEFT - 8}' y='{at + 4:.1f}' text-anchor='end'>{label}</text>"
