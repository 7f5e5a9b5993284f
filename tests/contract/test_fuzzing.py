"""schemathesis against a whole control plane: every check, every phase, nothing dialled beyond loopback.

The short form runs with all tests. The long form is a fault scenario: at least twenty thousand cases, and
links followed for minutes. A stateful phase ends when a replay differs, as it must here (a name is taken the
second time), so it is begun again and again until its time is up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.fuzzing import ADDRESS, LISTENING, CornerNode, fuzzed
from tests.postgres import TestDatabase
from tests.server.running import Node

ROOT = Path(__file__).parents[2]
LONG_CASES = 20_000


@pytest.fixture
async def corner_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A node; from here on, every started process writes down whom it dials."""
    (tmp_path / "sitecustomize.py").write_text(LISTENING)
    (tmp_path / "dialled").touch()
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    monkeypatch.setenv("DIALLED", str(tmp_path / "dialled"))
    running = CornerNode(tmp_path / "node", options=("--host", ADDRESS))
    await running.start()
    yield running
    await running.kill()


async def test_schemathesis_finds_nothing(
    database_settings: TestDatabase, corner_node: Node, tmp_path: Path
) -> None:
    async with fuzzed(database_settings, corner_node, tmp_path) as it:
        assert await it.run("--max-examples", "5", "--seed", "1") > 1000
        await it.check_dialled()


@pytest.mark.fuzzing
@pytest.mark.timeout(3600)
async def test_schemathesis_finds_nothing_in_twenty_thousand_cases(
    database_settings: TestDatabase, corner_node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    async with fuzzed(database_settings, corner_node, tmp_path) as it:
        alone = await it.run("--phases", "examples,coverage,fuzzing", "--max-examples", "700")
        linked = await it.run("--phases", "stateful", "--max-examples", "200", "--max-time", "240")
        await it.check_dialled()
    with capsys.disabled():
        seconds = time.monotonic() - began
        sys.stdout.write(f"\nschemathesis: {alone} cases alone and {linked} by links in {seconds:.0f} s\n")
    assert alone + linked >= LONG_CASES
