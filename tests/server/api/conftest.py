"""The REST application in the test's own process, on a real database; nodes are absent or fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from qarax_server.api import system
from qarax_server.api.application import make_application
from qarax_server.api.services import provide
from qarax_server.control.core import Core
from qarax_server.control.lease import Lease
from qarax_server.database import Database
from qarax_server.nodes.channels import Nodes
from qarax_server.settings import NodeTls, Settings
from tests.fakes.file_node import FileNode, running_file_node
from tests.postgres import TestDatabase
from tests.server.running import settings_of, until

Client = TestClient[web.Request, web.Application]
UP = "UPDATE hosts SET admitted = true, reachable = true, status = 'up' WHERE id = %(id)s"


async def _ready() -> None:
    """A server under test is always ready."""


@pytest.fixture
async def core(database_settings: TestDatabase) -> AsyncIterator[Core]:
    settings = Settings(database=settings_of(database_settings), node_tls=NodeTls(plain_text=True))
    database, nodes = Database(settings.database), Nodes(settings.node_tls)
    gained = asyncio.Event()

    async def on_gained(fence: int) -> None:
        nodes.fence = fence
        gained.set()

    async def on_lost() -> None:
        nodes.fence = 0

    lease = Lease(database, "under test", settings.lease, on_gained, on_lost)
    keeping = asyncio.create_task(lease.keep())
    await asyncio.wait_for(gained.wait(), 10)
    yield Core(settings, database, nodes, lease)
    keeping.cancel()
    await nodes.close()
    await database.close()


async def _no_monitor(host_id: str, seconds: float) -> None:
    """Nobody asks nodes here."""


@pytest.fixture
async def api(core: Core) -> AsyncIterator[Client]:
    """A client of the application."""
    app = make_application()
    provide(app, core, _no_monitor)
    app[system.READY] = _ready
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def pool_id(api: Client) -> str:
    """A pool called `images` at /srv/images."""
    body = {"name": "images", "pool_type": "local", "config": {"path": "/srv/images"}}
    return await create(api, "/storage-pools", body)


async def create(api: Client, path: str, body: Any) -> str:
    """POST and return the bare id."""
    async with api.post(path, json=body) as response:
        text = await response.text()
        assert response.status == 201, text
        assert response.content_type == "text/plain"
        return text


async def get(api: Client, path: str) -> Any:
    """GET the JSON of a 200."""
    async with api.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


@pytest.fixture
async def node() -> AsyncIterator[FileNode]:
    async with running_file_node() as node:
        yield node


@pytest.fixture
async def host_id(api: Client, core: Core, node: FileNode) -> str:
    """A host that is up, as the monitor would have written it."""
    body = {"name": "host-1", "address": "127.0.0.1", "port": node.port, "host_user": "root"}
    host_id = await create(api, "/hosts", body)
    async with core.database.connection() as connection:
        await connection.execute(UP, id=host_id)
    return host_id


@pytest.fixture
async def pool(api: Client, host_id: str, tmp_path: Path) -> str:
    """A pool whose directory is not there yet."""
    path = str(tmp_path / "pools" / "images")
    body = {"name": "images", "pool_type": "local", "config": {"path": path}, "host_id": host_id}
    return await create(api, "/storage-pools", body)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "kernel.bin"
    source.write_bytes(bytes(range(256)) * 64)
    return source


async def eventually(api: Client, path: str, wanted: Callable[[Any], bool]) -> Any:
    """GET until it is as wanted, for ten seconds."""

    async def found() -> list[Any]:
        answer = await get(api, path)
        return [answer] if wanted(answer) else []

    return (await until(found))[0]


async def transfer(api: Client, pool: str, source: Any, **fields: Any) -> tuple[int, Any]:
    body = {"name": "vmlinux", "source": str(source), "object_type": "kernel"} | fields
    headers = {"x-request-id": "my-transfer"}
    async with api.post(f"/storage-pools/{pool}/transfers", json=body, headers=headers) as response:
        return response.status, await response.json()


def ended(found: Any) -> bool:
    return found["status"] in {"completed", "failed"}
