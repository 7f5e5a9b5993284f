"""Where a token, or a password, must never be: answers, logs, argument lists, tables. All are searched."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import psycopg2
import pytest

from tests.postgres import TestDatabase
from tests.security.guarded import bearer, run, server_process, token_command

pytestmark = pytest.mark.security

PASSWORD = "the-password-of-a-host"
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
    token = made.out.strip()
    async with server_process(database_settings, tmp_path) as server:
        places = {
            "answers": await answers_to(server.url, token),
            "argument lists": argument_lists(),
            "tables": rows_of(database_settings),
        }
        settings = await run("qarax_server.app", "--show-settings", DATABASE_PASSWORD=PASSWORD)
        places["settings shown"] = [settings.out, settings.err]
        once = await run(
            "qarax_tui.cli", "--server", server.url, "--once", "hosts", "-o", "json", QARAX_TOKEN=token
        )
        assert [host["name"] for host in json.loads(once.out)] == ["h"]
        places["dashboard"] = [once.out, once.err]
    log = server.log.read_text()
    assert "POST /hosts 201" in log, "the log was written, at the level of everything"
    places["logs"] = [log]
    for secret in (token, token.removeprefix("qarax_"), PASSWORD):
        for place, texts in places.items():
            found = [text for text in texts if secret in text]
            assert found == [], (place, found[0][:200].replace(secret, "<secret>"))
    sizes["texts searched for secrets"] = sum(map(len, places.values()))


@pytest.mark.parametrize(
    ("program", "option"), [("qarax_tui.cli", "--token"), ("qarax_server.app", "--token")]
)
async def test_no_program_takes_a_token_as_an_argument(program: str, option: str) -> None:
    """Every user of a machine can read every argument list."""
    ended = await run(program, option, "x")
    assert ended.status == 2
