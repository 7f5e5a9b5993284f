"""The whole chain as a user has it: up, the walkthrough with a real guest, a VM that outlives down and up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from tests.guest_image import with_cache
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.qemu, pytest.mark.timeout(300)]
QARAX = Path(sys.executable).parent / "qarax"
DEMO = Path(__file__).resolve().parent.parent.parent / "hack" / "demo.py"
MEMORY = 256 * 1024 * 1024


class Installation:
    """One state directory with ports of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port, self.node_port = free_port(), free_port()

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        private = {"HOME": str(self.place), "XDG_CONFIG_HOME": str(self.place / "config")}
        return subprocess.run(
            [*map(str, command), "--state-dir", str(self.place / "s")],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=250,
            env={**os.environ, **with_cache(), **private},
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        ports = ("--port", self.port, "--node-port", self.node_port)
        return self.run(QARAX, "up", *ports, "--driver", "qemu")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(QARAX, "status", "-o", "json").stdout)
        return found

    def rest(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["Content-Type"] else text


@pytest.fixture
def installation() -> Iterator[Installation]:
    place = Path(tempfile.mkdtemp(prefix="qarax-e2e-"))
    place.chmod(0o711)
    made = Installation(place)
    try:
        yield made
    finally:
        made.run(QARAX, "down", "--vms")
        rmtree(place)


def test_up_demo_and_a_vm_that_outlives_down_and_up(installation: Installation) -> None:
    first = installation.up()
    assert first.returncode == 0, first.stderr
    again = installation.up()
    assert "already up" in again.stdout

    demo = installation.run(sys.executable, DEMO)
    assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr
    assert "=== qarax guest is up: Linux" in demo.stdout
    assert "really ran: qemu" in demo.stdout

    boot_source = installation.rest("GET", "/boot-sources")[0]
    body = {"name": "stays", "hypervisor": "cloud_hv", "boot_vcpus": 1, "max_vcpus": 1, "memory_size": MEMORY}
    vm = installation.rest("POST", "/vms", {**body, "boot_source_id": boot_source["id"]})
    assert installation.rest("POST", f"/vms/{vm}/start")["status"] == "running"

    down = installation.run(QARAX, "down")
    assert "1 VM goes on" in down.stdout
    left = {each["name"]: each["running"] for each in installation.status()["processes"]}
    assert left == {"postgres": False, "keeper": True, "node": False, "server": False}

    assert installation.up().returncode == 0
    assert installation.rest("GET", f"/vms/{vm}")["status"] == "running"

    gone = installation.run(QARAX, "down", "--vms")
    assert gone.returncode == 0, gone.stderr
    assert "go on" not in gone.stdout
    status = installation.status()
    assert status["vms_running"] == 0
    assert not any(each["running"] for each in status["processes"])


def test_a_simulated_fleet(installation: Installation) -> None:
    first = free_port()
    ports = ("--port", installation.port, "--node-port", installation.node_port, "--simulated-port", first)
    fleet = ("--driver", "simulated", "--simulated-hosts", 3, "--simulated-vms", 12)
    for _ in range(2):  # a second call adds nothing
        done = installation.run(QARAX, "up", *ports, *fleet)
        assert done.returncode == 0, done.stderr
        vms = installation.rest("GET", "/vms")
        assert len(vms) == 12
        assert {vm["status"] for vm in vms} == {"running"}
    assert len(installation.rest("GET", "/hosts")) == 4
