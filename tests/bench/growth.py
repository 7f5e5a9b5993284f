"""How cost grows: 100 → 10,000 VMs and 1 → 1,000 hosts, and one fleet as large as it gets.

Every point is a control plane of its own over simulated hosts. The exponent k of cost = c · size^k is fitted
to each series: 0 does not grow, 1 grows in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.fleet import fleet
from tests.bench.measure import fitted_power
from tests.bench.plots import plot as drawn
from tests.bench.point import QUANTITIES, measure_busiest, measure_point
from tests.bench.rows import Bench

MIDDLE_HOSTS, MIDDLE_VMS = 100, 1_000
VMS, HOSTS = (100, 1_000, 10_000), (1, 100, 1_000)
QUICK_VMS, QUICK_HOSTS = (100, 1_000), (1, 100)
LARGEST = (100, 100_000)
BUSIEST = (1_000, 10_000)
OVER_VMS, OVER_HOSTS = f"VMs ({MIDDLE_HOSTS} hosts)", f"hosts ({MIDDLE_VMS:,} VMs)"
Grown = dict[str, Any]


async def measure(bench: Bench) -> Grown:
    """All points; what fails is said and left out."""
    vms, hosts = (QUICK_VMS, QUICK_HOSTS) if bench.quick else (VMS, HOSTS)
    points = {(MIDDLE_HOSTS, count) for count in vms} | {(count, MIDDLE_VMS) for count in hosts}
    found: dict[str, Mapping[str, float]] = {}
    for place in sorted(points) + ([] if bench.quick else [BUSIEST, LARGEST]):
        bench.say(f"growth: {place[0]:,} hosts, {place[1]:,} VMs …")
        try:
            async with fleet(bench, *place) as world:
                found[_name(place)] = await (
                    measure_busiest(world, place) if place == BUSIEST else measure_point(world, place)
                )
        except (AssertionError, OSError, TimeoutError) as error:
            bench.say(f"growth: {place[0]:,} hosts, {place[1]:,} VMs FAILED: {str(error)[:300]}")
            continue
        bench.say("   " + ", ".join(f"{name} {value:.4g}" for name, value in found[_name(place)].items()))
    over = {
        OVER_VMS: [(count, found.get(_name((MIDDLE_HOSTS, count)))) for count in vms],
        OVER_HOSTS: [(count, found.get(_name((count, MIDDLE_VMS)))) for count in hosts],
    }
    series = {
        quantity: {name: [(x, point[quantity]) for x, point in line if point] for name, line in over.items()}
        for quantity in QUANTITIES
    }
    return {"points": found, "series": series, "powers": _powers(series)}


def _name(place: tuple[int, int]) -> str:
    return f"{place[0]} hosts, {place[1]} VMs"


def _powers(series: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> dict[str, dict[str, float]]:
    return {
        quantity: {
            name: fitted_power([x for x, _ in line], [y for _, y in line])
            for name, line in lines.items()
            if len(line) > 1
        }
        for quantity, lines in series.items()
    }


def rows(grown: Grown) -> list[tuple[str, ...]]:
    """Quantity, what it grows with, the values, and the fitted power."""
    found: list[tuple[str, ...]] = []
    for quantity, lines in grown["series"].items():
        for name, line in lines.items():
            values = " → ".join(f"{value:.3g}" for _, value in line)
            power = grown["powers"][quantity].get(name)
            fitted = "–" if power is None else f"{power:+.2f}"
            found.append((f"{quantity} ({QUANTITIES[quantity]})", name, values, fitted))
    return found


def table(grown: Grown) -> str:
    """For a terminal."""
    lines = [f"{a:<34} over {b:<22} {c:<40} power {d}" for a, b, c, d in rows(grown)]
    return "\n".join([*lines, *_largest(grown)])


def markdown(grown: Grown) -> str:
    """For the document, with the plots."""
    text = ["| quantity | over | measured | fitted power |", "|---|---|---|---|"]
    text += [f"| {' | '.join(row)} |" for row in rows(grown)]
    text += ["", *_largest(grown), ""]
    text += [f"![{quantity}](performance/{file_name(quantity)})" for quantity in grown["series"]]
    return "\n".join(text) + "\n"


def _largest(grown: Grown) -> list[str]:
    """What was measured beyond the series, as it is."""
    told = []
    for place in (BUSIEST, LARGEST):
        if point := grown["points"].get(_name(place)):
            values = ", ".join(f"{name} {value:.4g} {_unit(name)}" for name, value in point.items())
            told.append(f"- {place[0]:,} hosts with {place[1]:,} VMs: {values}")
    return told


def _unit(name: str) -> str:
    return QUANTITIES.get(name, "")


def file_name(quantity: str) -> str:
    """Of its plot."""
    return f"{quantity.replace(' ', '-')}.svg"


def plot(grown: Grown, folder: Path) -> None:
    """Draw every quantity."""
    folder.mkdir(parents=True, exist_ok=True)
    for quantity, lines in grown["series"].items():
        named = {
            f"{name.partition(' ')[0]}: k = {grown['powers'][quantity].get(name, 0):+.2f}": line
            for name, line in lines.items()
            if line
        }
        (folder / file_name(quantity)).write_text(drawn(quantity, QUANTITIES[quantity], named))
