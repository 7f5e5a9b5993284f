"""`qarax-server token`: what it prints, what it keeps, what it refuses."""

from __future__ import annotations

import getpass
import hashlib
import os
import re

import psycopg2
import pytest

from tests.postgres import TestDatabase
from tests.security.guarded import run, token_command

pytestmark = pytest.mark.security


async def test_a_token_lives_and_dies_by_it(database_settings: TestDatabase) -> None:
    made = await token_command(database_settings, "create", "ci", "--role", "operator")
    assert made.status == 0, made.err
    token = made.out.strip()
    assert re.fullmatch(r"qarax_[A-Za-z0-9_-]{43}", token)
    assert "the only time it is shown" in made.err
    assert token not in made.err
    listed = await token_command(database_settings, "list")
    assert re.search(r"^ci +operator +valid ", listed.out, re.MULTILINE)
    assert token not in listed.out
    revoked = await token_command(database_settings, "revoke", "ci")
    assert (revoked.status, revoked.out) == (0, "the token ci is revoked\n")
    listed = await token_command(database_settings, "list")
    assert re.search(r"^ci +operator +revoked ", listed.out, re.MULTILINE)
    again = await token_command(database_settings, "create", "ci", "--role", "viewer")
    assert again.status == 0, "a revoked one leaves its name free"
    assert again.out != made.out


async def test_the_flight_recorder_says_who_made_and_revoked_what(database_settings: TestDatabase) -> None:
    made = await token_command(database_settings, "create", "ci", "--role", "operator")
    await token_command(database_settings, "revoke", "ci")
    with psycopg2.connect(database_settings.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT action, actor, subject_name, message, to_json(e)::text FROM events AS e")
        (first, second) = cursor.fetchall()
    connection.close()
    user = f"shell:{os.environ.get('SUDO_USER') or getpass.getuser()}"
    assert first[:3] == ("create", user, "ci")
    assert first[3].startswith("the token ci (operator) was made, valid until ")
    assert second[:4] == ("revoke", user, "ci", "the token ci (operator) was revoked")
    digest = hashlib.sha256(made.out.strip().encode()).hexdigest()
    assert not [secret for secret in (digest, made.out.strip()) if secret in first[4] + second[4]]


async def test_the_database_holds_nothing_that_lets_anybody_in(database_settings: TestDatabase) -> None:
    made = await token_command(database_settings, "create", "ci", "--role", "admin", "--expires-in", "never")
    token = made.out.strip()
    with psycopg2.connect(database_settings.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(t)::text, digest, expires_at FROM tokens AS t")
        ((row, digest, expires_at),) = cursor.fetchall()
    connection.close()
    assert token.removeprefix("qarax_") not in row
    assert digest == hashlib.sha256(token.encode()).hexdigest()
    assert expires_at is None


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("create", "local", "--role", "admin"), 1, "'local' cannot name a token"),
        (("create", "qarax-server", "--role", "admin"), 1, "cannot name a token"),
        (("create", "a b", "--role", "admin"), 1, "cannot name a token: 1 to 63 letters"),
        (("create", "--", "-rf"), 2, "required: --role"),
        (("create", "a", "--role", "root"), 2, "invalid choice: 'root'"),
        (("create", "a", "--role", "anyone"), 2, "invalid choice: 'anyone'"),
        (("create", "a", "--role", "viewer", "--expires-in", "soon"), 2, "'soon' is no time such as 90d"),
        (("create", "a", "--role", "viewer", "--expires-in", "99999999d"), 2, "is no time such as 90d"),
        (("create", "a"), 2, "required: --role"),
        (("revoke", "nobody"), 1, "no token to revoke is called 'nobody'"),
    ],
)
async def test_what_is_refused_is_said_in_a_sentence(
    database_settings: TestDatabase, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    ended = await token_command(database_settings, *arguments)
    assert (ended.status, ended.out) == (status, "")
    assert sentence in ended.err
    assert "Traceback" not in ended.err


async def test_a_name_is_taken_until_it_is_revoked(database_settings: TestDatabase) -> None:
    await token_command(database_settings, "create", "ci", "--role", "viewer")
    ended = await token_command(database_settings, "create", "ci", "--role", "admin")
    assert ended.status == 1
    assert "a token of this name exists: revoke it first" in ended.err


async def test_it_makes_the_schema_when_there_is_none(empty_database: TestDatabase) -> None:
    assert (await token_command(empty_database, "create", "first", "--role", "admin")).status == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "127.example.org", ""])
async def test_the_server_does_not_listen_beyond_loopback_without_tokens(host: str) -> None:
    ended = await run("qarax_server.app", "--host", host)
    assert ended.status == 1
    assert "beyond loopback, and auth.required is false" in ended.err
    assert len(ended.err.splitlines()) == 1
