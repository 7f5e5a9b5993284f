"""schemathesis against a whole control plane: every check, every phase, nothing dialled beyond loopback.

The short form runs with all tests. The long form is a fault scenario: at least twenty thousand cases.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qarax_server import measures
from qarax_server.settings import Application
from tests.postgres import TestDatabase
from tests.server.running import Node, control_plane, settings_for

HERE = Path(__file__).parent
HOOKS = "tests.contract.schemathesis_hooks"
ADDRESS = "127.77.0.1"
"""The node's own corner of loopback: fuzzed hosts lead to it or nowhere, not to another node here."""

LONG_CASES = 20_000


class CornerNode(Node):
    """A node at `ADDRESS`."""

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (self.directory / "node.log").read_text()
        try:
            _, writer = await asyncio.open_connection(ADDRESS, self.port)
        except OSError:
            return False
        writer.close()
        return True


@pytest.fixture
async def corner_node(tmp_path: Path) -> AsyncIterator[Node]:
    running = CornerNode(tmp_path / "node", options=("--host", ADDRESS))
    await running.start()
    yield running
    await running.kill()


def answered() -> int:
    """How many requests this process has answered so far."""
    samples = (sample for metric in measures.REGISTRY.collect() for sample in metric.samples)
    return int(sum(sample.value for sample in samples if sample.name == "qarax_http_requests_total"))


async def run_schemathesis(
    where: TestDatabase, node: Node, directory: Path, *options: str
) -> tuple[int, str, int]:
    """Fuzz a control plane with one host; return the exit code, what was printed and how many requests."""
    application = Application(allowed_networks=(f"{ADDRESS}/32",))
    settings = settings_for(where, directory, application=application)
    async with control_plane(settings) as plane:
        new = {"name": "here", "address": ADDRESS, "port": node.port, "host_user": "root"}
        host_id = await plane.ok("POST", "/hosts", new)
        assert (await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "up"}))["status"] == "up"
        before = answered()
        command = ["--config-file", str(HERE / "schemathesis.toml"), "run"]
        command += [plane.url + "/api-docs/openapi.json", *options]
        environment = {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(HERE.parents[1])}
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "schemathesis"),
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | environment,
            cwd=directory,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        status, body, _ = await plane.request("GET", "/readyz")
        assert status == 200, (body, output)
        return process.returncode, output.decode(), answered() - before


async def test_schemathesis_finds_nothing(
    database_settings: TestDatabase, corner_node: Node, tmp_path: Path
) -> None:
    code, output, _ = await run_schemathesis(
        database_settings, corner_node, tmp_path, "--max-examples", "5", "--seed", "1", "--no-color"
    )
    assert code == 0, output


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_schemathesis_finds_nothing_in_twenty_thousand_cases(
    database_settings: TestDatabase, corner_node: Node, tmp_path: Path
) -> None:
    code, output, requests = await run_schemathesis(
        database_settings, corner_node, tmp_path, "--max-examples", "700", "--no-color"
    )
    assert (code, requests >= LONG_CASES) == (0, True), f"{requests} requests\n{output}"
