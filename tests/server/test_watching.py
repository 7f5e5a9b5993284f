"""How long a host's watcher waits before it dials again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qarax_server.control import monitor
from qarax_server.errors import NodeUnavailable
from qarax_server.settings import Monitor


class Enough(Exception):  # noqa: N818 - it ends the watcher, nothing went wrong
    """Ends a watcher after its last pause."""


async def test_a_node_that_is_away_is_dialled_soon_and_then_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            raise Enough

    async def dial(_: object) -> None:
        raise NodeUnavailable("connection refused")

    async def explain(_: object, error: Exception) -> Exception:
        return error

    core = SimpleNamespace(
        settings=SimpleNamespace(monitor=Monitor(reconnect_seconds=3.0)),
        nodes=SimpleNamespace(dial=dial, explain=explain),
    )
    watcher = monitor.Watcher(
        cast("Any", core), cast("Any", None), cast("Any", None), cast("Any", SimpleNamespace(reachable=True))
    )
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        with pytest.raises(Enough):
            await watcher.run()
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0]
