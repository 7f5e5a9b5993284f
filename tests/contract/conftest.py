"""A whole control plane: PostgreSQL, a server, a node process with the simulated driver, an image to boot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from qarax_server.settings import Bootc
from tests.contract.checked import CheckedClient
from tests.postgres import TestDatabase
from tests.server.running import ELF, ControlPlane, Node, control_plane, settings_for, until


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node process that may import from the test's directory."""
    running = Node(tmp_path / "node", options=("--import-dir", str(tmp_path / "import")))
    (tmp_path / "import").mkdir(mode=0o755)
    (tmp_path / "import" / "vmlinux").write_bytes(ELF)
    (tmp_path / "import" / "initrd").write_bytes(b"\x1f\x8b" + bytes(1000))
    await running.start()
    yield running
    await running.kill()


@pytest.fixture
async def plane(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    images = Bootc(registry="registry.example.org/fleet")
    async with control_plane(settings_for(database_settings, tmp_path, bootc=images)) as plane:
        yield plane


@pytest.fixture
async def client(plane: ControlPlane) -> CheckedClient:
    async with plane.session.get(plane.url + "/api-docs/openapi.json") as response:
        return CheckedClient(plane.url, plane.session, await response.json())


async def eventually(client: CheckedClient, path: str, wanted: Callable[[Any], bool]) -> Any:
    """GET until it is as wanted, for ten seconds."""

    async def found() -> list[Any]:
        answer = await client.get(path)
        return [answer] if wanted(answer) else []

    return (await until(found))[0]
