"""A control plane for schemathesis: a host in a corner of loopback, things to refer to, who was dialled."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from qarax_server.settings import Application
from tests.postgres import TestDatabase
from tests.server.running import ELF, ControlPlane, Node, control_plane, settings_for

HERE = Path(__file__).parent
ADDRESS = "127.77.0.1"
"""The node's own corner of loopback: fuzzed hosts lead to it or nowhere, not to another node here."""

LISTENING = """
import os, sys

def heard(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        with open(os.environ["DIALLED"], "a") as log:
            log.write(f"{arguments[1][0]}\\n")

sys.addaudithook(heard)
"""
"""Python's own account of whom a process dials, as a `sitecustomize` of the node and of schemathesis."""


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


@dataclass
class Fuzzed:
    """A control plane under test, and what is told of it: ids of things that are there, by field."""

    plane: ControlPlane
    directory: Path
    known_ids: dict[str, str]

    async def run(self, *options: str) -> int:
        """Let schemathesis loose; return how many cases it made, none of which may find anything."""
        command = ["--config-file", str(HERE / "schemathesis.toml"), "run", "--no-color", *options]
        hooks = {
            "SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks",
            "KNOWN_IDS": json.dumps(self.known_ids),
        }
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "schemathesis"),
            *command,
            self.plane.url + "/api-docs/openapi.json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | hooks,
            cwd=self.directory,
        )
        said = (await process.communicate())[0].decode()
        cases = re.search(r"(\d+) generated, (\d+) passed", said)
        assert process.returncode == 0, said
        assert cases, said
        assert cases[1] == cases[2], said
        status, body, _ = await self.plane.request("GET", "/readyz")
        assert status == 200, body
        return int(cases[1])

    async def check_dialled(self) -> None:
        """Nobody was dialled beyond loopback: not by the processes, nor by gRPC, which dials hosts alone."""
        addresses = set((self.directory / "dialled").read_text().split())
        after = 0
        while page := await self.plane.ok("GET", f"/events?subject_type=host&after={after}"):
            addresses |= {event["after"]["address"] for event in page if event["after"]}
            after = page[-1]["sequence"]
        assert ADDRESS in addresses
        assert {each for each in addresses if not ipaddress.ip_address(each).is_loopback} == set()


@contextlib.asynccontextmanager
async def fuzzed(where: TestDatabase, node: Node, directory: Path) -> AsyncIterator[Fuzzed]:
    """Bring one up."""
    application = Application(allowed_networks=(f"{ADDRESS}/32",))
    async with control_plane(settings_for(where, directory, application=application)) as plane:
        new = {"name": "here", "address": ADDRESS, "port": node.port, "host_user": "root"}
        host_id = await plane.ok("POST", "/hosts", new)
        assert (await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "up"}))["status"] == "up"
        yield Fuzzed(plane, directory, await _furnish(plane, directory))


async def _furnish(plane: ControlPlane, directory: Path) -> dict[str, str]:
    """Make what bodies can refer to; return its ids by the names of the fields that do."""
    (directory / "pool").mkdir()
    (directory / "pool" / "vmlinux").write_bytes(ELF)
    pool = {"name": "furnished", "pool_type": "local", "config": {"path": str(directory / "pool")}}
    pool_id = await plane.ok("POST", "/storage-pools", pool)
    kernel = {"name": "vmlinux", "storage_pool_id": pool_id, "object_type": "kernel", "size_bytes": 0}
    kernel_id = await plane.ok("POST", "/storage-objects", kernel)
    source = {"name": "furnished", "kernel_image_id": kernel_id}
    source_id = await plane.ok("POST", "/boot-sources", source)
    return {
        "storage_pool_id": pool_id,
        "kernel_image_id": kernel_id,
        "source_object_id": kernel_id,
        "boot_source_id": source_id,
    }
