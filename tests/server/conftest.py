"""What tests of the server share: its database, a simulated node, a control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qarax_server.database import Database
from tests.postgres import TestDatabase
from tests.server.running import ControlPlane, Node, control_plane, settings_for, settings_of


@pytest.fixture
async def database(database_settings: TestDatabase) -> AsyncIterator[Database]:
    """A migrated database of this test alone, through the server's pool."""
    pool = Database(settings_of(database_settings))
    yield pool
    await pool.close()


@pytest.fixture
async def blank(empty_database: TestDatabase) -> AsyncIterator[Database]:
    """A database without any schema."""
    pool = Database(settings_of(empty_database))
    yield pool
    await pool.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with the simulated driver, as a process."""
    node = Node(tmp_path / "node")
    await node.start()
    yield node
    await node.kill()


@pytest.fixture
async def plane(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A control plane without hosts."""
    async with control_plane(settings_for(database_settings, tmp_path)) as plane:
        yield plane
