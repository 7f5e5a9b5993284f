"""The bench itself, at a size of nothing much: one row measured, and everything that is printed of it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench import growth, lists, machine, measure, plots, report
from tests.bench.rows import ROWS, Bench, Line
from tests.postgres import TestServer

LINE = Line("P0", "a thing", "1 ms", "2 ms", "≤ 1×", True, 0.5, 0.1, "A limit.", {"seconds": [0.001]})


async def test_a_row_is_measured_against_its_peer(postgres: TestServer, tmp_path: Path) -> None:
    bench = Bench(postgres, tmp_path, quick=True, say=lambda _: None, rounds=1)
    (line,) = await lists.whole_list(bench)
    assert line.number == "P1"
    assert line.ratio is not None
    assert line.ratio > 0
    assert len(line.samples["server_seconds"]) == len(line.samples["psql_seconds"])


def test_all_rows_are_there() -> None:
    import tests.bench.__main__  # noqa: PLC0415 - registers them, and parses arguments only when run

    assert set(ROWS) == {f"P{number}" for number in range(1, 15)}
    assert tests.bench.__main__.FAMILIES


async def test_two_sides_take_turns_in_alternating_order() -> None:
    order = []

    async def side(name: str, value: float) -> float:
        order.append(name)
        return value

    ours, theirs = await measure.in_turns(2, lambda: side("a", 3.0), lambda: side("b", 2.0))
    assert (ours, theirs, order) == ([3.0, 3.0], [2.0, 2.0], ["a", "b", "b", "a"])
    assert measure.ratios(ours, theirs) == [1.5, 1.5]


def test_percentile_is_the_nearest_rank() -> None:
    samples = [float(number) for number in range(1, 101)]
    assert measure.percentile(samples, 0.95) == 95
    assert measure.percentile(samples, 0.99) == 99
    assert measure.percentile([7.0], 0.99) == 7


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_the_power_of_growth_is_found(power: float) -> None:
    sizes = [100, 1_000, 10_000]
    assert measure.fitted_power(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_table_and_markdown_begin_each_row_with_its_number() -> None:
    failed = Line.of_failure("P7", AssertionError("no such thing"))
    text = report.table([LINE, failed])
    assert [line.split()[0] for line in text.splitlines()] == ["#", "P0", "P7"]
    assert "FAILED: no such thing" in text
    assert "| P0 | a thing | 1 ms | 2 ms | 0.50× | 10% | ≤ 1× | yes |" in report.markdown([LINE])
    assert "- **P0** A limit." in report.markdown([LINE])


def test_everything_is_kept_and_the_document_gets_its_section(tmp_path: Path) -> None:
    report.keep(tmp_path / "build" / "bench.json", machine.facts(), [LINE], {})
    kept = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert kept["rows"][0]["samples"] == {"seconds": [0.001]}
    assert kept["machine"]["cpus"] > 0
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    report.replace_section(page, "table", "new")
    assert page.read_text() == "before\n<!-- table -->\nnew\n<!-- end of table -->\nafter\n"


def test_growth_is_told_and_drawn(tmp_path: Path) -> None:
    line = [(100.0, 1.0), (1_000.0, 10.0)]
    grown = {
        "points": {},
        "series": {"list": {growth.OVER_VMS: line}},
        "powers": {"list": {growth.OVER_VMS: 1.0}},
    }
    assert "| list (ms) | VMs (100 hosts) | 1 → 10 | +1.00 |" in growth.markdown(grown)
    growth.plot(grown, tmp_path)
    picture = ET.fromstring((tmp_path / "list.svg").read_text())  # noqa: S314 - our own
    assert len(picture.findall("{*}circle")) == 2
    assert plots.plot("t", "ms", {"a": line}).startswith("<svg")
