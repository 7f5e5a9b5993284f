"""The order kept step by step is the order sorted anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qarax_tui.client.ordering import Ordering

ROWS = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 5), max_size=30)
STEPS = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=2), st.one_of(st.none(), st.integers(0, 5)))
)


@given(ROWS, STEPS, st.booleans(), st.booleans())
def test_after_any_changes(
    rows: dict[str, int], steps: list[tuple[str, int | None]], reverse: bool, filtered: bool
) -> None:
    def keep(value: int) -> bool:
        return value != 3

    order = Ordering(rows, key=lambda value: value, keep=keep if filtered else None, reverse=reverse)
    for identifier, value in steps:
        before = order.ids
        kept = list(before)
        if value is None:
            rows.pop(identifier, None)
        else:
            rows[identifier] = value
        moved = order.apply([identifier] if value is not None else [], [identifier] if value is None else [])
        anew = Ordering(rows, key=lambda value: value, keep=keep if filtered else None, reverse=reverse)
        assert list(order.ids) == list(anew.ids)
        assert list(before) == kept
        assert moved or list(before) == list(order.ids)


def test_many_changes_at_once() -> None:
    rows = {str(number): number for number in range(2_000)}
    order = Ordering(rows, key=lambda value: value)
    rows.update({str(number): -number for number in range(1_500)})
    assert order.apply([str(number) for number in range(1_500)])
    assert list(order.ids) == sorted(rows, key=lambda identifier: (rows[identifier], identifier))
    order.arrange(key=lambda value: -value, reverse=True)
    assert order.ids[0] == "1499"
