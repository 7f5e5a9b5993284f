"""The table of transitions, each cell."""

from __future__ import annotations

import pytest

from qarax_server.control import transitions

STATUSES = ("unknown", "created", "running", "paused", "shutdown")
TABLE = {
    "start": "refused goes already refused goes",
    "stop": "goes refused goes goes already",
    "pause": "refused refused goes already refused",
    "resume": "refused refused already goes refused",
    "reboot": "refused refused goes refused refused",
    "delete": "goes goes goes goes goes",
}


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        (action, status, word)
        for action, row in TABLE.items()
        for status, word in zip(STATUSES, row.split(), strict=True)
    ],
)
def test_each_cell(action: str, status: str, expected: str) -> None:
    assert action in transitions.ACTIONS
    if transitions.is_done(action, status):
        found = "already"
    else:
        found = "refused" if transitions.refusal(action, status) else "goes"
    assert found == expected


def test_a_refusal_says_what_to_do() -> None:
    assert transitions.refusal("start", "paused") == "cannot start a VM that is paused: resume it instead"


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(transitions.ACTIONS)
