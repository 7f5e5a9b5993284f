"""Thousands of seeded histories through the server's own rules: one VM's life, a fleet, the lease.

To play one again: `History(seed).play(30)`, `FleetHistory(seed).play(30)`, `LeaseHistory(seed).play(120)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from tests.faults.fleet_history import FleetHistory
from tests.faults.history import History
from tests.faults.lease_history import LeaseHistory

STEPS, FLEET_STEPS, LEASE_SECONDS = 30, 30, 120.0


class Played(Protocol):
    """A history: `trace` tells what happened in it."""

    trace: list[str]


def life(seed: int) -> tuple[Played, Callable[[], None]]:
    history = History(seed)
    return history, lambda: history.play(STEPS)


def fleet(seed: int) -> tuple[Played, Callable[[], None]]:
    history = FleetHistory(seed)
    return history, lambda: history.play(FLEET_STEPS)


def lease(seed: int) -> tuple[Played, Callable[[], None]]:
    history = LeaseHistory(seed)
    return history, lambda: history.play(LEASE_SECONDS)


def lease_with_true_clocks(seed: int) -> tuple[Played, Callable[[], None]]:
    history = LeaseHistory(seed, clocks_are_true=True)
    return history, lambda: history.play(LEASE_SECONDS)


KINDS = (life, fleet, lease, lease_with_true_clocks)


def play(kind: Callable[[int], tuple[Played, Callable[[], None]]], seeds: Iterable[int]) -> list[str]:
    """Play each seed to its end and return what was told."""
    told: list[str] = []
    for seed in seeds:
        history, begin = kind(seed)
        try:
            begin()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}: {history.trace[-20:]}") from error
        told += history.trace
    return told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [200, pytest.param(10_000, marks=pytest.mark.faults)])
def test_every_history_ends_well(
    kind: Callable[[int], tuple[Played, Callable[[], None]]], seeds: int
) -> None:
    play(kind, range(seeds))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (
            life,
            {
                *("server killed", "request lost", "answer lost", "is under way", "guest ended"),
                *("delete taken up", "cancelled"),
            },
        ),
        (fleet, {"server killed", "is away", "is lost with", "delete vm-", "create vm-"}),
        (lease, {"sleeps", "is frozen", "is killed", "no database", "clock is", "claims", "refuses"}),
    ],
)
def test_the_histories_are_eventful(
    kind: Callable[[int], tuple[Played, Callable[[], None]]], wanted: set[str]
) -> None:
    told = " ".join(play(kind, range(200)))
    assert [each for each in wanted if each not in told] == []
