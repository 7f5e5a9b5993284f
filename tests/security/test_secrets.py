"""Where a token, or a password, must never be: answers, logs, argument lists, tables. All are searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import psycopg2
import pytest

from qarax_server.nodes import credentials
from qarax_server.settings import NodeTls
from tests.ports import free_port
from tests.postgres import TestDatabase
from tests.secret_scan import leak_in
from tests.security.guarded import bearer, run, server_process, token_command
from tests.security.tls import Ca
from tests.server.running import until

pytestmark = pytest.mark.security

PASSWORD = "the-password-of-a-host"
DATABASE_PASSWORD = "the-password-of-the-database"
SSH_PASSWORD = "the-password-of-a-deployment"
REQUESTS = [
    ("GET", "/vms", None),
    ("GET", "/nowhere", None),
    (
        "POST",
        "/hosts",
        {"name": "h", "address": "127.0.0.1", "port": 1, "host_user": "r", "password": PASSWORD},
    ),
    ("POST", "/hosts", {"name": "h", "password": PASSWORD, "port": "wrong"}),
    ("POST", "/vms", {"name": 1}),
    ("PATCH", "/hosts", None),
    ("GET", "/metrics", None),
    ("GET", "/events", None),
    ("GET", "/hosts", None),
    ("DELETE", "/vms/1", None),
]


async def answers_to(url: str, token: str) -> list[str]:
    """Everything that comes back, headers included, for a good token and for nearly this token."""
    found = []
    async with aiohttp.ClientSession() as session:
        for method, path, body in REQUESTS:
            for headers in (bearer(token), bearer(token + "x"), {"Authorization": token}):
                async with session.request(method, url + path, json=body, headers=headers) as response:
                    found.append(f"{dict(response.headers)} {await response.text()}")
    return found


async def deploy(url: str, token: str) -> list[str]:
    """Deploy to a machine that is not there, with a password; everything that is told of it."""
    found = []
    async with aiohttp.ClientSession(url, headers=bearer(token)) as session:

        async def ask(method: str, path: str, body: object = None) -> Any:
            async with session.request(method, path, json=body) as response:
                found.append(await response.text())
                return json.loads(found[-1])

        (host,) = await ask("GET", "/hosts")
        order = {
            "mode": "bootc",
            "image_version": "v1",
            "ssh_password": SSH_PASSWORD,
            "ssh_port": free_port(),
        }
        operation = await ask("POST", f"/hosts/{host['id']}/deploy", order)
        assert operation.get("status") == "running", operation

        async def ended() -> bool:
            return bool((await ask("GET", f"/operations/{operation['id']}"))["status"] == "failed")

        await until(ended, 60)
        for path in ("/operations", "/events", "/hosts"):
            await ask("GET", path)
        await ask("POST", f"/hosts/{host['id']}/deploy", {"ssh_password": {"a": SSH_PASSWORD}})
    return found


def argument_lists() -> list[str]:
    """Of every process on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    return found


def rows_of(database: TestDatabase) -> list[str]:
    """Every row of every table."""
    rows = []
    connection = psycopg2.connect(database.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT to_json(t)::text FROM "{table}" AS t')  # noqa: S608 - of the catalogue
            rows += [row[0] for row in cursor.fetchall()]
    connection.close()
    return rows


async def test_secrets_are_nowhere(
    database_settings: TestDatabase, tmp_path: Path, sizes: dict[str, int]
) -> None:
    made = await token_command(database_settings, "create", "scan", "--role", "admin")
    token, ca = made.out.strip(), Ca(tmp_path / "tls")
    environment = {
        "DATABASE_PASSWORD": DATABASE_PASSWORD,
        "QARAX__NODE_TLS__DIRECTORY": str(ca.directory),
        "QARAX__BOOTC__REGISTRY": "registry.example",
    }
    async with server_process(database_settings, tmp_path, **environment) as server:
        places = {
            "answers": await answers_to(server.url, token),
            "deployment": await deploy(server.url, token),
            "argument lists": argument_lists(),
            "tables": rows_of(database_settings),
        }
        settings = await run("qarax_server.app", "--show-settings", **environment)
        places["settings shown"] = [settings.out, settings.err]
        once = await run(
            "qarax_tui.cli", "--server", server.url, "--once", "hosts", "-o", "json", QARAX_TOKEN=token
        )
        assert [host["name"] for host in json.loads(once.out)] == ["h"]
        places["dashboard"] = [once.out, once.err]
    log = server.log.read_text()
    assert "POST /hosts 201" in log, "the log was written, at the level of everything"
    places["logs"] = [log]
    keys = [
        path.read_text().splitlines()[1]
        for path in (ca.directory / "ca.key", ca.directory / "server/key.pem")
    ]
    secrets = (token, token.removeprefix("qarax_"), PASSWORD, DATABASE_PASSWORD, SSH_PASSWORD, *keys)
    for secret in secrets:
        for place, texts in places.items():
            found = [text for text in texts if secret in text]
            assert found == [], (place, found[0][:200].replace(secret, "<secret>"))
    sizes["texts searched for secrets"] = sum(map(len, places.values()))


def test_the_scan_finds_what_it_is_for() -> None:
    for secret in ("qarax_" + "A" * 43, PASSWORD, SSH_PASSWORD, "-----BEGIN PRIVATE KEY-----"):
        assert leak_in(f"before {secret} after")
    assert leak_in(b"x qarax_" + b"A" * 43) == "qarax_AAA…, a token"
    assert not leak_in("qarax_up -----BEGIN CERTIFICATE-----")


def test_a_secret_is_in_no_representation(tmp_path: Path) -> None:
    """What a traceback or a log line would show of the objects that hold one."""
    ca = Ca(tmp_path / "tls")
    own = credentials.load(NodeTls(directory=str(ca.directory)))
    shown = f"{ca.authority!r} {ca.authority.issue_for_server()!r} {own!r}"
    assert not leak_in(shown)
    assert "BEGIN CERTIFICATE" in shown


@pytest.mark.parametrize(
    ("program", "option"), [("qarax_tui.cli", "--token"), ("qarax_server.app", "--token")]
)
async def test_no_program_takes_a_token_as_an_argument(program: str, option: str) -> None:
    """Every user of a machine can read every argument list."""
    ended = await run(program, option, "x")
    assert ended.status == 2
