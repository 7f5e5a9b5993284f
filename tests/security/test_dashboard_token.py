"""`qarax --server` against a server that wants tokens: where it takes its token from, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.postgres import TestDatabase
from tests.security.guarded import Ended, run, server_process, token_command

pytestmark = pytest.mark.security


async def look(url: str, folder: Path, **environment: str) -> Ended:
    """`qarax --once hosts` with a configuration folder of its own."""
    arguments = ("--server", url, "--once", "hosts", "-o", "json")
    return await run("qarax_tui.cli", *arguments, XDG_CONFIG_HOME=str(folder), **environment)


async def test_the_token_comes_from_the_environment_or_a_private_file(
    database_settings: TestDatabase, tmp_path: Path
) -> None:
    token = (await token_command(database_settings, "create", "eve", "--role", "viewer")).out.strip()
    kept = tmp_path / "qarax" / "config.yaml"
    kept.parent.mkdir()
    async with server_process(database_settings, tmp_path) as server:
        without = await look(server.url, tmp_path)
        assert (without.status, without.out) == (1, "")
        assert "QARAX_TOKEN" in without.err
        assert "Traceback" not in without.err
        given = await look(server.url, tmp_path, QARAX_TOKEN=token)
        assert (given.status, json.loads(given.out)) == (0, []), given.err
        kept.write_text(f"server: {server.url}\ntoken: {token}\n")
        kept.chmod(0o640)
        shared = await look(server.url, tmp_path)
        assert shared.status == 1
        assert f"Run: chmod 600 {kept}" in shared.err
        assert token not in shared.err
        kept.chmod(0o600)
        private = await look(server.url, tmp_path)
        assert (private.status, json.loads(private.out)) == (0, []), private.err
        await token_command(database_settings, "revoke", "eve")
        revoked = await look(server.url, tmp_path)
        assert revoked.status == 1
        assert "revoked" in revoked.err
    beyond = await look("http://192.0.2.1:8000", tmp_path)
    assert beyond.status == 1
    assert "unencrypted" in beyond.err
