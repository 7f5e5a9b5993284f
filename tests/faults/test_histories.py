"""Thousands of seeded histories of one VM through the server's own rules."""

from __future__ import annotations

import pytest

from tests.faults.history import History

STEPS = 30


@pytest.mark.parametrize("seeds", [500, pytest.param(10_000, marks=pytest.mark.faults)])
def test_every_history_ends_well(seeds: int) -> None:
    for seed in range(seeds):
        history = History(seed)
        try:
            history.play(STEPS)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {history.trace[-20:]}") from error


def test_the_histories_are_eventful() -> None:
    told = {word for seed in range(200) for word in played(seed)}
    assert {"server killed", "request lost", "answer lost", "guest ended", "delete taken up"} <= told


def played(seed: int) -> list[str]:
    history = History(seed)
    history.play(STEPS)
    return history.trace
