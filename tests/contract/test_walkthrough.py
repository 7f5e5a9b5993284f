"""The API by curl alone, as an operator would type it."""

from __future__ import annotations

from pathlib import Path

from tests.contract.test_generated_client import run
from tests.server.running import ControlPlane, Node

SCRIPT = Path(__file__).with_name("walkthrough.sh")


async def test_curl_is_enough(plane: ControlPlane, node: Node, tmp_path: Path) -> None:
    images, pool = str(tmp_path / "import"), str(tmp_path / "pools" / "images")
    environment = {"API": plane.url, "IMAGES": images, "POOL": pool, "PORT": str(node.port)}
    output = await run("bash", str(SCRIPT), cwd=tmp_path, **environment)
    assert output.rstrip().endswith("walked through")
    assert await plane.ok("GET", "/vms") == []
