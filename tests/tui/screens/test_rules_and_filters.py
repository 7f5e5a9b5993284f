"""The rules of the forms and the language of the filters."""

from __future__ import annotations

import pytest

from qarax_tui.screens import rules
from qarax_tui.screens.filtering import parse
from qarax_tui.screens.format import bar, duration, natural, size, sparkline

COLUMNS = frozenset({"status", "host"})
ROW = ("web-1\nrunning\nalpha", {"status": "running", "host": "alpha"})


@pytest.mark.parametrize(
    ("text", "amount"), [("2GiB", 2 * 2**30), ("512m", 512 * 2**20), ("1.5G", 3 * 2**29), ("1048576", 2**20)]
)
def test_memory_is_read_as_people_write_it(text: str, amount: int) -> None:
    assert rules.memory(text) == amount


@pytest.mark.parametrize("text", ["", "lots", "0", "-1GiB", "512", "9999999999T", "1e9"])
def test_what_is_no_memory_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ .*\."):
        rules.memory(text)


@pytest.mark.parametrize("text", ["a", "web-1", "0.x_y-z", "a" * 63])
def test_names(text: str) -> None:
    assert rules.name(text) == text


@pytest.mark.parametrize("text", ["", "-a", ".a", "a b", "a" * 64, "ä", "a/b", "a\n"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"\."):
        rules.name(text)


@pytest.mark.parametrize("text", ["10.0.0.1", "::1", "host-1.example.org", "h"])
def test_addresses(text: str) -> None:
    assert rules.address(text) == text


@pytest.mark.parametrize("text", ["", "-h", "a b", "http://x", "a..b", "300.1.1.1", "10.0.0"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="An IP address or a host name"):
        rules.address(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("web", True),
        ("WEB", True),
        ("db", False),
        ("!db", True),
        ("!web", False),
        ("/w.b-\\d/", True),
        ("!/w.b/", False),
        ("status=run", True),
        ("status=run$", False),
        ("status=running$", True),
        ("!status=paused", True),
        ("web status=running host=al", True),
        ("web host=beta", False),
        ("", True),
    ],
)
def test_filters(text: str, kept: bool) -> None:
    assert parse(text, COLUMNS).keeps(*ROW) is kept


@pytest.mark.parametrize(
    ("text", "said"), [("/(/", "missing"), ("colour=red", "no column colour; here: host")]
)
def test_a_filter_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text, COLUMNS)


def test_figures_read_well() -> None:
    assert [size(n) for n in (0, 1023, 2**20, 3 * 2**29, None)] == ["0 B", "1023 B", "1 MiB", "1.5 GiB", "–"]
    assert [duration(n) for n in (4, 200, 7500, 781200, None)] == [
        "4 s", "3 m 20 s", "2 h 5 m", "9 d 1 h", "–",
    ]  # fmt: skip
    assert bar(0.5, 4) == "██··"
    assert sparkline([0, 1, 2], 4) == "▁▄█ "
    assert sorted(["web-10", "web-2", "db-1"], key=natural) == ["db-1", "web-2", "web-10"]
