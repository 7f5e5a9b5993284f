"""A control plane and the machines it deploys to, in an operator's words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy.machine import Machine
from tests.server.running import ControlPlane, until

SECONDS = 300.0
ON_MACHINES = [
    pytest.mark.timeout(900),  # the first of them makes a machine that the others begin with
    # a look at a node's certificate that is cancelled in the middle of its handshake is closed a little later
    pytest.mark.filterwarnings(
        "ignore:.*(socket.socket|_SelectorTransport):pytest.PytestUnraisableExceptionWarning"
    ),
]
KERNEL = "/var/lib/qarax/images/vmlinux"
BOOTABLE = "\x7fELF" + "\0" * 4092 + "Xen\0"  # enough for the hypervisor of the tests to take it for a kernel
REGISTRY = "registry.example.org/fleet"


@dataclass(frozen=True)
class Installed:
    """A machine that was deployed to: its files, and the operations as they ended."""

    layer: str
    first: Any
    statuses: list[str]
    host: Any
    upgraded: Any
    back: Any


@dataclass
class Scene:
    """Hosts are registered by machine, deployments followed to their end."""

    plane: ControlPlane

    async def register(self, machine: Machine, user: str = "root") -> str:
        """Register a machine whose operator chose the hypervisor that the tests have."""
        machine.put("/etc/qarax/node.env", "QARAX_NODE_OPTIONS=--driver cloud_hypervisor\n")
        machine.put(KERNEL, BOOTABLE)
        new = {
            "name": machine.name[:40],
            "address": "127.0.0.1",
            "port": machine.node_port,
            "host_user": user,
        }
        host_id: str = await self.plane.ok("POST", "/hosts", new)
        return host_id

    async def begin(self, machine: Machine, host_id: str, **body: Any) -> Any:
        """Ask for a deployment and return its operation."""
        request = {"ssh_port": machine.port, **body}
        status, operation, response = await self.plane.request("POST", f"/hosts/{host_id}/deploy", request)
        assert status == 202, operation
        assert response.headers["Location"] == f"/operations/{operation['id']}"
        return operation

    async def end(self, operation: Any, seconds: float = SECONDS) -> Any:
        """Wait for the end of an operation and return it."""
        found = operation

        async def ended() -> bool:
            nonlocal found
            found = await self.plane.ok("GET", f"/operations/{operation['id']}")
            return bool(found["status"] != "running")

        try:
            await until(ended, seconds)
        except TimeoutError as error:
            raise AssertionError(json.dumps(found["progress"], indent=1)) from error
        return found

    async def deploy(self, machine: Machine, host_id: str, **body: Any) -> Any:
        """Deploy and return the operation as it ended."""
        return await self.end(await self.begin(machine, host_id, **body))

    async def deployed(self, machine: Machine, **body: Any) -> str:
        """Register a machine and have it up; return the host's id."""
        host_id = await self.register(machine)
        operation = await self.deploy(machine, host_id, **body)
        assert operation["status"] == "succeeded", operation
        return host_id

    async def host(self, host_id: str) -> Any:
        return await self.plane.ok("GET", f"/hosts/{host_id}")

    async def statuses(self, host_id: str) -> list[str]:
        """The statuses that a host went through, by its events."""
        events = await self.plane.ok("GET", f"/events?subject_id={host_id}&limit=1000")
        seen: list[str] = []
        for event in events:
            status = (event["after"] or {}).get("status")
            if status and seen[-1:] != [status]:
                seen.append(status)
        return seen


def steps(operation: Any) -> dict[str, str]:
    """The status of each step."""
    return {each["name"]: each["status"] for each in operation["progress"]["steps"]}


def detail(operation: Any, step: str) -> str:
    """What a step had to say."""
    found = {each["name"]: each["detail"] for each in operation["progress"]["steps"]}
    return str(found[step])
