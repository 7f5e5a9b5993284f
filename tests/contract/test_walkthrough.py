"""The API by curl alone: the README's own commands, and the sequence that clients of the contract know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.contract.readme import Reader, commands
from tests.contract.test_generated_client import run
from tests.server.running import ControlPlane, Node, until

SCRIPT = Path(__file__).with_name("walkthrough.sh")
MADE = {"hosts": "HOST", "storage-pools": "POOL", "boot-sources": "BOOT_SOURCE", "vms": "VM"}


async def test_curl_is_enough(plane: ControlPlane, node: Node, tmp_path: Path) -> None:
    images, pool = str(tmp_path / "import"), str(tmp_path / "pools" / "images")
    environment = {"API": plane.url, "IMAGES": images, "POOL": pool, "PORT": str(node.port)}
    output = await run("bash", str(SCRIPT), cwd=tmp_path, **environment)
    assert output.rstrip().endswith("walked through")
    assert await plane.ok("GET", "/vms") == []


async def test_the_readme_does_what_it_says(plane: ControlPlane, node: Node, tmp_path: Path) -> None:
    (tmp_path / "import" / "initrd").rename(tmp_path / "import" / "initramfs.gz")
    reader = Reader(
        {
            "http://127.0.0.1:8000": plane.url,
            '"192.0.2.11", "port": 50051': f'"127.0.0.1", "port": {node.port}',
            "/var/lib/qarax/images": str(tmp_path / "import"),
            "/var/lib/qarax/pool": str(tmp_path / "pool"),
        }
    )
    typed = commands()
    for command in typed:
        await _follow(reader, command)
    assert set(reader.ids) == {*MADE.values(), "KERNEL", "INITRD"}, typed
    is_running = f"curl {plane.url}/vms/$VM"
    assert json.loads(await reader.type(is_running))["status"] == "running"
    for action, status in (("pause", "paused"), ("resume", "running"), ("reboot", "running")):
        answer = json.loads(await reader.type(f"curl -X POST {plane.url}/vms/$VM/{action}"))
        assert answer["status"] == status
    answer = json.loads(await reader.type(f'curl -X POST "{plane.url}/vms/$VM/stop?grace=10"'))
    assert answer["status"] == "shutdown"
    assert await reader.type(f"curl -X DELETE {plane.url}/vms/$VM") == ""
    told = json.loads(await reader.type(f"curl {plane.url}/events"))
    assert (told[-1]["subject_id"], told[-1]["after"]) == (reader.ids["VM"], None)


async def _follow(reader: Reader, command: str) -> None:
    """Type one command of the README and note the ids that its answer names."""
    if "follow=true" in command:
        await reader.type(command, until="is up")
    elif command.startswith("curl -X"):
        answer = await reader.type(command)
        if made := re.search(r"POST http://[^/]+/([\w-]+) ", command):
            reader.ids[MADE[made[1]]] = answer
    else:
        for kind, transfer in (await until(lambda: _completed(reader, command))).items():
            reader.ids[kind.upper()] = transfer["storage_object_id"]


async def _completed(reader: Reader, command: str) -> dict[str, Any]:
    """The transfers by object type, once all of them have ended well."""
    listed = json.loads(await reader.type(command))
    assert all(each["status"] != "failed" for each in listed), listed
    ended = all(each["status"] == "completed" for each in listed)
    return {each["object_type"]: each for each in listed} if ended else {}
