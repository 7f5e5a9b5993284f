"""A Python client generated from openapi.yaml drives a VM through its life."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.server.running import ControlPlane, Node

HERE = Path(__file__).resolve().parent
TOOLS = Path(sys.executable).parent


async def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a program that must succeed; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PATH": f"{TOOLS}:{os.environ['PATH']}"} | environment,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_a_generated_client_drives_a_vm(plane: ControlPlane, node: Node, tmp_path: Path) -> None:
    await plane.add_host(node)
    document = HERE.parents[1] / "openapi.yaml"
    command = ("openapi-python-client", "generate", "--path", str(document), "--meta", "none")
    said = await run(*command, "--output-path", "qarax_client", cwd=tmp_path)
    assert "WARNING" not in said, said
    walk = (sys.executable, str(HERE / "generated_client_walk.py"), plane.url)
    kernel, pool = tmp_path / "import" / "vmlinux", tmp_path / "pool"
    await run(*walk, str(kernel), str(pool), cwd=tmp_path, PYTHONPATH=str(tmp_path))
