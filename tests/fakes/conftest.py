"""Stand-ins of Cloud Hypervisor for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.standin_process import StandIn, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Stand-ins, each in a directory of its own."""
    made: list[StandIn] = []

    def one(*arguments: str, **options: Any) -> StandIn:
        made.append(StandIn(tmp_path / f"vm{len(made)}", *arguments, **options).ready())
        return made[-1]

    yield one
    for vmm in made:
        vmm.close()


@pytest.fixture
def vmm(start: Start) -> StandIn:
    """One of them."""
    return start()
