"""Two terminals, one written as Textual does it, the other with what differs: they always show the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeAlias

import pyte
import pytest
from rich.cells import set_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from qarax_tui.terminal.painted import Painted

WIDTH, HEIGHT = 40, 12
STYLES = [Style.parse(text) for text in ("white on black", "bold red on black", "black on cyan", "underline")]
WORDS = ("running", "paused", "vm-1", "vm-22", "", "é●─", "日本", "東京 vm")
Span: TypeAlias = tuple[int, int, int]
CONSOLE = Console(color_system="truecolor", force_terminal=True)


class Peers:
    """What is shown must be the same cell by cell; `costs` are the characters of either."""

    def __init__(self) -> None:
        self.painted = Painted()
        self.plain, self.ours = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
        self._streams = pyte.Stream(self.plain), pyte.Stream(self.ours)

    def show(self, update: CompositorUpdate) -> tuple[int, int]:
        texts = update.render_segments(CONSOLE), self.painted.write(update, ColorSystem.TRUECOLOR)
        for stream, text in zip(self._streams, texts, strict=True):
            stream.feed(text)
        for y in range(HEIGHT):
            assert [self.ours.buffer[y][x] for x in range(WIDTH)] == [
                self.plain.buffer[y][x] for x in range(WIDTH)
            ]
        return len(texts[0]), len(texts[1])


def a_line(chance: random.Random, words: tuple[str, ...] = WORDS) -> Strip:
    segments = [Segment(set_cell_size(chance.choice(words), 9), chance.choice(STYLES)) for _ in range(5)]
    return Strip(segments).adjust_cell_length(WIDTH, STYLES[0])


def whole(lines: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))


def parts(lines: list[Strip], cuts: list[int], spans: list[Span]) -> ChopsUpdate:
    """Lines chopped at the same columns, of which these spans are written."""
    chops = [dict(zip(cuts, line.divide(cuts[1:]), strict=False)) for line in lines]
    return ChopsUpdate(chops, spans, [cuts[1:]] * HEIGHT)


def moved(chance: random.Random, lines: list[Strip]) -> list[Span]:
    """Some lines go up or down, new ones come in."""
    by = chance.choice((-3, -1, 1, 2, 5))
    top, bottom = sorted(chance.sample(range(HEIGHT + 1), 2))
    inside, new = lines[top:bottom], [a_line(chance) for _ in range(abs(by))]
    size = bottom - top
    lines[top:bottom] = [*inside, *new][-size:] if by > 0 else [*new, *inside][:size]
    return [(y, 0, WIDTH) for y in range(top, bottom)]


def changed(chance: random.Random, lines: list[Strip]) -> list[Span]:
    """One line is another."""
    y = chance.randrange(HEIGHT)
    lines[y] = a_line(chance)
    return [(y, 0, WIDTH)]


def nibbled(chance: random.Random, lines: list[Strip]) -> list[Span]:
    """Some columns of one line are others, and only those are written."""
    y = chance.randrange(HEIGHT)
    start, stop = sorted(chance.sample(range(WIDTH + 1), 2))
    old, new = lines[y], a_line(chance)
    lines[y] = Strip.join([old.crop(0, start), new.crop(start, stop), old.crop(stop)])
    return [(y, start, stop)]


def kept(_: random.Random, __: list[Strip]) -> list[Span]:
    return []


def frames(chance: random.Random, count: int) -> Iterator[CompositorUpdate]:
    """A first frame, then frames of which each writes what is other than before, and more."""
    lines = [a_line(chance) for _ in range(HEIGHT)]
    yield whole(lines)
    for _ in range(count):
        before = list(lines)
        spans = chance.choice((moved, changed, nibbled, kept))(chance, lines)
        rows = {y for y, _, _ in spans} | {y for y in range(HEIGHT) if lines[y] is not before[y]}
        spans += [(y, 0, WIDTH) for y in range(HEIGHT) if y not in rows and chance.random() < 0.1]
        cuts = [0, *sorted(chance.sample(range(1, WIDTH), 2)), WIDTH]
        yield whole(lines) if chance.random() < 0.1 or not spans else parts(lines, cuts, sorted(spans))


@pytest.mark.parametrize("seed", range(30))
def test_any_frames_look_as_textual_writes_them(seed: int) -> None:
    peers, chance = Peers(), random.Random(seed)
    costs = []
    for update in frames(chance, 60):
        costs.append(peers.show(update))
        if chance.random() < 0.05:
            peers.painted.forget()
    assert sum(ours for _, ours in costs) < sum(plain for plain, _ in costs) * 0.8


def test_a_list_that_scrolls_by_one_costs_one_line() -> None:
    peers = Peers()
    rows = [Strip([Segment(f"vm-{number:<36}", STYLES[0])]) for number in range(HEIGHT + 1)]
    bar = [Strip([Segment("|", STYLES[number == 3])]) for number in range(HEIGHT)]
    cuts, spans = [0, WIDTH - 1, WIDTH], [(y, 0, WIDTH) for y in range(HEIGHT)]
    for first in (0, 1, 0):
        lines = [Strip.join(pair) for pair in zip(rows[first:], bar, strict=False)]
        cost, ours = peers.show(parts(lines, cuts, spans))
    assert ours < cost / 4


def test_what_was_forgotten_is_written_again() -> None:
    peers, chance = Peers(), random.Random(2)
    frame = whole([a_line(chance) for _ in range(HEIGHT)])
    first, again = peers.show(frame)[1], peers.show(frame)[1]
    peers.painted.forget()
    assert (again, peers.show(frame)[1]) == (0, first)


@pytest.mark.parametrize(
    "words", [("👩‍🚀 pilot", "plain"), ("👩‍🚀", "👩‍🚀 ok"), ("e\u0301cole", "👩‍🚀", "e\u0301")]
)
def test_text_whose_width_terminals_dispute_displaces_nothing(words: tuple[str, ...]) -> None:
    """For Textual the astronaut takes two columns, for this terminal four."""
    painted, screen = Painted(), pyte.Screen(WIDTH, 1)
    stream = pyte.Stream(screen)
    for word in words:
        line = Strip([Segment(set_cell_size(word, 9), STYLES[0]), Segment(f"{'paused':31}", STYLES[0])])
        stream.feed(painted.write(LayoutUpdate([[line]], Region(0, 0, WIDTH, 1)), ColorSystem.TRUECOLOR))
    assert "".join(screen.buffer[0][x].data for x in range(9, 15)) == "paused"
