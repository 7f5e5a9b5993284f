"""Tokens of every kind, and programs started as an operator starts them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from qarax_server.control.tokens import create
from qarax_server.database import Database
from qarax_server.roles import Role
from qarax_server.store.tokens import revoke_token
from tests.ports import free_port
from tests.postgres import TestDatabase
from tests.server.running import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Tokens:
    """The tokens themselves; each one's name is its member's."""

    viewer: str
    operator: str
    admin: str
    expired: str
    revoked: str


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def make_tokens(database: Database) -> Tokens:
    """Make one of every kind; the last two would be admins if they were valid."""
    viewer, _ = await create(database, "viewer", Role.VIEWER, 3600.0)
    operator, _ = await create(database, "operator", Role.OPERATOR, 3600.0)
    admin, _ = await create(database, "admin", Role.ADMIN, 3600.0)
    expired, _ = await create(database, "expired", Role.ADMIN, 0.0)
    revoked, _ = await create(database, "revoked", Role.ADMIN, None)
    async with database.connection() as connection:
        assert await revoke_token(connection, "revoked")
    return Tokens(viewer, operator, admin, expired, revoked)


@dataclass(frozen=True)
class Ended:
    """How a program ended and what it printed."""

    status: int
    out: str
    err: str


async def run(module: str, *arguments: str, **environment: str) -> Ended:
    """Run one of our programs to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
        cwd=ROOT,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def token_command(database: TestDatabase, *arguments: str) -> Ended:
    """Run `qarax-server token …`."""
    return await run("qarax_server.app", "token", *arguments, **database.environment)


@dataclass(frozen=True)
class ServerProcess:
    """A `qarax-server` process that wants tokens."""

    url: str
    pid: int
    log: Path


@asynccontextmanager
async def server_process(
    database: TestDatabase, directory: Path, **more: str
) -> AsyncIterator[ServerProcess]:
    """Start one that logs everything it can, with more in its environment, and stop it gently."""
    port, log = free_port(), directory / "server.log"
    environment = {
        **os.environ,
        **database.environment,
        "QARAX__APPLICATION__PORT": str(port),
        "QARAX__APPLICATION__LOG_LEVEL": "debug",
        "QARAX__AUTH__REQUIRED": "true",
        **more,
    }
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "qarax_server.app", stdout=file, stderr=file, env=environment, cwd=ROOT
        )
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            async with aiohttp.request("GET", f"{url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    try:
        await until(ready, 20)
        yield ServerProcess(url, process.pid, log)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)
