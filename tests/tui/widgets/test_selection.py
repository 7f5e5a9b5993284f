"""The cursor stays with its object, or is nowhere; it never slides to another."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from qarax_tui.widgets.columns import Column, place
from qarax_tui.widgets.selection import Selection

IDS = st.lists(st.sampled_from([f"id-{number}" for number in range(12)]), unique=True)
STEPS = st.lists(st.one_of(IDS, st.sampled_from([-3, -1, 1, 3]), st.just("mark")), max_size=60)


@given(STEPS)
def test_only_the_operator_moves_the_cursor(steps: list[list[str] | int | str]) -> None:
    selection = Selection()
    rows: list[str] = []
    alive: set[str] = set()
    wanted: str | None = None
    for step in steps:
        if isinstance(step, list):
            rows, alive = step, {*step, *(row for row in alive if row.endswith(("1", "3", "5")))}
            first = wanted is None and bool(rows)
            selection.replace(rows, alive.__contains__)
            wanted = rows[0] if first else wanted
        elif isinstance(step, int):
            selection.move(step)
            wanted = selection.cursor or wanted
        elif selection.cursor is not None:
            selection.toggle(selection.cursor)
        assert selection.cursor == (wanted if wanted in rows else None)
        assert selection.marked <= set(rows)
        assert set(selection.targets()) <= set(rows)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=9),
    st.integers(10, 200),
    st.integers(0, 8),
)
def test_columns_never_overlap_and_fit_when_they_can(
    shapes: list[tuple[int, int, int]], width: int, shift: int
) -> None:
    columns = [
        Column(str(number), "label", str, width=wide, grow=grow, priority=priority)
        for number, (wide, grow, priority) in enumerate(shapes)
    ]
    placed = place(columns, width, 2, min(shift, max(0, len(columns) - 2)))
    assert placed
    for left, right in itertools.pairwise(placed):
        assert left.x + left.width < right.x
    if len(placed) * 8 <= width - 2:
        assert placed[-1].x + placed[-1].width <= width


def test_columns_that_grow_reach_the_right_edge() -> None:
    columns = [Column(str(number), "label", str, width=10, grow=2) for number in range(4)]
    for width in range(60, 90):
        last = place(columns, width, 2)[-1]
        assert last.x + last.width == width
