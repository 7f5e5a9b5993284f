"""`qarax-server` as in production: PostgreSQL over TLS, tokens, JSON logs, a standby that takes over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from tests.deployments.conftest import DatabaseWithTls
from tests.ports import free_port
from tests.server.running import until


@dataclass
class Production:
    """A server of `APP_ENVIRONMENT=production`; it listens on loopback, as behind a proxy."""

    directory: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"server-{self.port}.log"

    @property
    def whole_environment(self) -> dict[str, str]:
        quick = {"QARAX__LEASE__SECONDS": "2", "QARAX__LEASE__RENEW_SECONDS": "0.5"}
        fixed = {
            "APP_ENVIRONMENT": "production",
            "QARAX__APPLICATION__HOST": "127.0.0.1",
            "QARAX__APPLICATION__PORT": str(self.port),
            "QARAX__NODE_TLS__DIRECTORY": str(self.directory / "tls"),
        }
        return {**os.environ, **fixed, **quick, **self.environment}

    async def command(self, *words: str) -> str:
        """Run a command of `qarax-server` and return what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "qarax_server.app", *words,
            env=self.whole_environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "qarax_server.app", env=self.whole_environment, stderr=log
            )
        await until(lambda: self.answers("/healthz", 200), 20)

    async def get(self, path: str, token: str = "", **headers: str) -> tuple[int, Any]:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.request("GET", url, headers={**bearer, **headers}) as response:
            return response.status, await response.json()

    async def answers(self, path: str, status: int) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return (await self.get(path))[0] == status
        return False

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def servers(tmp_path: Path, tls_database: DatabaseWithTls) -> AsyncIterator[list[Production]]:
    """Two of them, not started, on one database."""
    made = [Production(tmp_path, tls_database.environment) for _ in range(2)]
    await made[0].command("ca", "init")
    yield made
    for server in made:
        await server.kill()


async def test_tokens_readiness_and_logs(servers: list[Production]) -> None:
    server = servers[0]
    await server.start()
    await until(lambda: server.answers("/readyz", 200), 20)
    assert (await server.get("/vms"))[0] == 401
    token = (await server.command("token", "create", "reader", "--role", "viewer")).strip()
    assert await server.get("/vms", token) == (200, [])
    url, asked = f"http://127.0.0.1:{server.port}/storage-pools", {"x-request-id": "asked-42"}
    bearer = {"Authorization": f"Bearer {token}", **asked}
    body = {"name": "images", "pool_type": "local"}
    async with aiohttp.request("POST", url, json=body, headers=bearer) as response:
        assert (response.status, response.headers["x-request-id"]) == (403, "asked-42")
    lines = server.log.read_text().splitlines()
    said = [json.loads(line) for line in lines]
    (refused,) = [each for each in said if each.get("request_id") == "asked-42"]
    assert refused["message"].startswith("POST /storage-pools 403 ")
    assert refused["time"].endswith("Z")
    assert {"time", "level", "logger", "message", "request_id"} == set(refused)
    assert sum(line.count("asked-42") for line in lines) == 1, "the id is there once"
    assert token not in server.log.read_text()


async def test_a_standby_serves_reads_and_takes_over(servers: list[Production]) -> None:
    active, standby = servers
    await active.start()
    await until(lambda: active.answers("/readyz", 200), 20)
    token = (await active.command("token", "create", "reader", "--role", "viewer")).strip()
    await standby.start()
    await until(lambda: standby.answers("/readyz", 503), 20)
    assert (await standby.get("/readyz"))[1]["code"] == "not_active"
    assert await standby.get("/vms", token) == (200, [])
    await active.kill()
    await until(lambda: standby.answers("/readyz", 200), 20)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"QARAX__DATABASE__SSLROOTCERT": "other.pem"}, "certificate verify failed"),
        ({"DATABASE_HOST": "127.0.0.1"}, 'does not match host name "127.0.0.1"'),
        ({"QARAX__DATABASE__SSLMODE": "disable"}, "no pg_hba.conf entry"),
        ({"DATABASE_PASSWORD": "wrong"}, "password authentication failed"),
    ],
    ids=["authority", "name", "plain", "password"],
)
async def test_a_database_that_is_not_the_right_one_is_not_used(
    servers: list[Production], tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    wrong = {key: value.replace("other.pem", f"{tmp_path}/other.pem") for key, value in wrong.items()}
    server = servers[0]
    server.environment = server.environment | wrong
    await server.start()
    status, answer = await server.get("/readyz")
    assert (status, answer["code"]) == (503, "database_unavailable")

    async def is_said() -> bool:
        return said in server.log.read_text().replace('\\"', '"')

    await until(is_said, 20)


async def test_a_tls_mode_that_is_none_is_refused(servers: list[Production]) -> None:
    server = servers[0]
    server.environment = server.environment | {"QARAX__DATABASE__SSLMODE": "verify"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "qarax_server.app", "--show-settings",
        env=server.whole_environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, refusal = await process.communicate()
    assert process.returncode == 1
    assert (
        b"database.sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full" in refusal
    )
