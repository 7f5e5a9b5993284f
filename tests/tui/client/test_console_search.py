"""Searching the ring finds what looking at every line would find."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qarax_tui.client.blocks import Marker
from qarax_tui.client.console_search import ConsoleFilter, find_next
from qarax_tui.client.matching import Matcher, PatternError
from qarax_tui.client.ring import ConsoleRing

PARTS = st.sampled_from(
    [b"error ", b"Error", b"\x1b[31mer\x1b[0mror", b"ok\r\n", b"\n", b"x" * 5_000, "größe".encode(), b"a\rb",
     b"err\bor", b"\xc2\x9b1merror", b"\t", b"\xff"]
)  # fmt: skip
PATTERNS = st.sampled_from(
    [("error", False), ("Error", False), ("größe", False), (r"^err|ok$", True), ("r{2}", True)]
)


def filled(parts: list[bytes]) -> ConsoleRing:
    ring = ConsoleRing()
    for number, part in enumerate(parts):
        ring.append(part)
        if number % 17 == 16:
            ring.add_marker(Marker(ring.end_offset, "gap", "gap: error"))
    return ring


@settings(deadline=None)
@given(st.lists(PARTS, max_size=120), PATTERNS)
async def test_search_and_filter_agree_with_looking(parts: list[bytes], pattern: tuple[str, bool]) -> None:
    ring = filled(parts)
    matcher = Matcher(pattern[0], regex=pattern[1])
    lines = ring.lines(ring.first, 100_000)
    wanted = [line.number for line in lines if matcher.matches(line.text)]
    chosen = ConsoleFilter(ring, matcher)
    await chosen.scan()
    assert chosen.numbers == wanted
    found, at = [], ring.first - 1
    while (match := await find_next(ring, matcher, at)) is not None:
        found.append(match)
        at = match
    assert found == wanted
    found, at = [], ring.end
    while (match := await find_next(ring, matcher, at, backwards=True)) is not None:
        found.append(match)
        at = match
    assert found[::-1] == wanted


async def test_a_filter_grows_with_the_log_and_forgets_with_it() -> None:
    ring = ConsoleRing(limit=100_000)
    chosen = ConsoleFilter(ring, Matcher("hit"), context=1)
    for number in range(3_000):
        ring.append(b"before\nhit %d\nafter " % number)
        chosen.update()
        ring.append(b"more " * 10 + b"\n")
        chosen.update()
    assert chosen.numbers[0] >= ring.first
    texts = [ring.lines(number, 1)[0].text[:5] for number in chosen.numbers[-3:]]
    assert texts == ["befor", "hit 2", "after"]


async def test_a_million_lines_are_searched_quickly() -> None:
    """The goal is 500 ms; the bound is generous for a busy machine."""
    ring = ConsoleRing(64 * 2**20)
    block = b"".join(b"[%12.6f] usb 1-1: line %d is fine\r\n" % (n / 3, n) for n in range(1_000))
    for _ in range(1_000):
        ring.append(block)
    assert ring.end - ring.first == 1_000_000
    started = time.perf_counter()
    assert await find_next(ring, Matcher("panic"), ring.end, backwards=True) is None
    assert time.perf_counter() - started < 5


def test_a_pattern_that_is_none_says_so() -> None:
    with pytest.raises(PatternError, match="no regular expression"):
        Matcher("(", regex=True)
    assert Matcher("(").spans("a (b) (c)") == [(2, 3), (6, 7)]
    assert Matcher("x*", regex=True).spans("aa") == []
