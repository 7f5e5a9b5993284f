"""Samples and what is said of them; two sides measured in turns, so that a drift of the machine hits both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Awaitable, Callable, Sequence

LEAST_ROUNDS = 7
Side = Callable[[], Awaitable[float]]


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` (0 to 1) of all do not exceed (nearest rank)."""
    return sorted(samples)[max(0, math.ceil(len(samples) * share) - 1)]


def spread(samples: Sequence[float]) -> float:
    """How far the middle half of the samples reaches, as a share of their median."""
    if len(samples) < 2 or not median(samples):
        return 0.0
    return (percentile(samples, 0.75) - percentile(samples, 0.25)) / abs(median(samples))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, ours to theirs."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


async def in_turns(rounds: int, *sides: Side) -> list[list[float]]:
    """Measure all sides in every round, each round in the opposite order; one list of samples per side."""
    samples: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for place in order:
            samples[place].append(await sides[place]())
    return samples


def fitted_power(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent k of cost = c · size^k: the slope of a straight line through the logarithms."""
    points = [(math.log(size), math.log(cost)) for size, cost in zip(sizes, costs, strict=True)]
    return slope([x for x, _ in points], [y for _, y in points])


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Least squares."""
    return statistics.linear_regression(xs, ys).slope
