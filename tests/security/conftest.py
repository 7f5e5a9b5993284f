"""What attacks are tried on: a control plane that wants tokens, and one token of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qarax_server.settings import Auth
from tests import secret_scan
from tests.postgres import TestDatabase
from tests.security.guarded import Tokens, make_tokens
from tests.security.tls import Ca
from tests.server.running import ControlPlane, Node, control_plane, settings_for

SIZES = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SIZES] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how much was tried."""
    for what, amount in (config.stash[SIZES] | dict(secret_scan.searched)).items():
        terminalreporter.write_line(f"{what}: {amount}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End `make security` with one line that is always the same."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.getoption("markexpr") != "security":
        return
    passed, failed = (
        sum(len(reporter.stats.get(kind, ())) for kind in kinds)
        for kinds in (("passed",), ("failed", "error"))
    )
    reporter.write_line(f"{passed} passed, {failed} failed")


@pytest.fixture
def sizes(pytestconfig: pytest.Config) -> dict[str, int]:
    """What a test counts here is printed at the end of the run."""
    return pytestconfig.stash[SIZES]


@pytest.fixture
async def plane(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A control plane with `auth.required`; failures are not limited."""
    auth = Auth(required=True, failures_per_minute=1_000_000)
    async with control_plane(settings_for(database_settings, tmp_path, auth=auth)) as plane:
        yield plane


@pytest.fixture
async def tokens(plane: ControlPlane) -> Tokens:
    """A token of every kind."""
    return await make_tokens(plane.server.core.database)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with the simulated driver, as a process."""
    running = Node(tmp_path / "node")
    await running.start()
    yield running
    await running.kill()


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path / "tls")


@pytest.fixture
async def started() -> AsyncIterator[list[Node]]:
    """Nodes that are ended with the test."""
    nodes: list[Node] = []
    yield nodes
    for node in nodes:
        await node.kill()
