"""A client of the REST API that remembers what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.ports import free_port
from tests.server.running import new_vm, until

AT_ONCE = 8

Guest = tuple[int, int]  # pid, start time


@dataclass(frozen=True)
class Answer:
    """`status` 0: there was none, because the connection ended first."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def code(self) -> str:
        return str(self.body.get("code")) if isinstance(self.body, dict) else ""


@dataclass
class Ledger:
    """What was acknowledged, and which guests the scenario ended or lost itself."""

    created: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    asked_to_delete: set[str] = field(default_factory=set)
    forgiven: set[str] = field(default_factory=set)
    guests: dict[str, Guest] = field(default_factory=dict)


@dataclass(kw_only=True)
class Client:
    """Asks the server at `server_port` of loopback; `node_port` is the node of its first host."""

    session: aiohttp.ClientSession
    ledger: Ledger = field(default_factory=Ledger)
    server_port: int = field(default_factory=free_port)
    node_port: int = field(default_factory=free_port)
    names: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Make a request; what it acknowledges goes into the ledger."""
        began = time.monotonic()
        if method == "DELETE" and path.startswith("/vms/"):
            self.ledger.asked_to_delete.add(vm_of(path))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            async with self.session.request(method, self.url + path, json=body, headers=named) as response:
                text = await response.text()
                found = json.loads(text) if "json" in response.content_type and text else text
                seconds = time.monotonic() - began
                answer = Answer(response.status, found, dict(response.headers), seconds)
        except (aiohttp.ClientError, ConnectionError):
            return Answer(0, None, {}, time.monotonic() - began)
        self._note(method, path, answer)
        return answer

    def _note(self, method: str, path: str, answer: Answer) -> None:
        if method == "POST" and path == "/vms" and answer.status == 201:
            self.ledger.created.add(answer.body)
        elif method == "DELETE" and path.startswith("/vms/") and answer.status == 204:
            self.ledger.deleted.add(vm_of(path))

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Make a request that must succeed and return its body."""
        answer = await self.request(method, path, body, **headers)
        assert 200 <= answer.status < 300, (method, path, answer)
        return answer.body

    async def everything(self, path: str) -> list[Any]:
        """Every row of a list, over all its pages."""
        rows: list[Any] = []
        following = path + ("&" if "?" in path else "?") + "limit=1000"
        while following:
            answer = await self.request("GET", following)
            assert answer.status == 200, answer
            rows += answer.body
            link = answer.headers.get("Link", "")
            following = link.partition("<")[2].partition(">")[0].removeprefix(self.url)
        return rows

    async def events(self) -> list[Any]:
        """The whole flight recorder, oldest first."""
        rows: list[Any] = []
        while page := await self.ok("GET", f"/events?after={rows[-1]['sequence'] if rows else 0}"):
            rows += page
        return rows

    async def add_host(self, port: int | None = None, name: str = "host-1") -> str:
        """Register a node's host and set it up."""
        new = {"name": name, "address": "127.0.0.1", "port": port or self.node_port, "host_user": "root"}
        host_id: str = await self.ok("POST", "/hosts", new)
        await self.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
        await self.host_is(host_id, "up")
        return host_id

    async def host_is(self, host_id: str, status: str, seconds: float = 30.0) -> Any:
        """Wait for a host's status and return the host."""

        async def has_it() -> Any:
            answer = await self.request("GET", f"/hosts/{host_id}")
            return answer.body if answer.status == 200 and answer.body["status"] == status else None

        return await until(has_it, seconds)

    async def vm_is(self, vm_id: str, status: str, seconds: float = 30.0) -> Any:
        """Wait for a VM's status and return the VM."""

        async def has_it() -> Any:
            answer = await self.request("GET", f"/vms/{vm_id}")
            return answer.body if answer.status == 200 and answer.body["status"] == status else None

        return await until(has_it, seconds)

    def new_vm(self, **fields: Any) -> dict[str, Any]:
        return new_vm(f"vm-{next(self.names)}", **fields)

    async def create(self, **fields: Any) -> str:
        vm_id: str = await self.ok("POST", "/vms", self.new_vm(**fields))
        return vm_id

    async def run_vm(self, **fields: Any) -> str:
        """Make and start a VM."""
        vm_id = await self.create(**fields)
        assert (await self.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"
        return vm_id

    async def run_vms(self, count: int, **fields: Any) -> list[str]:
        """Make and start VMs, a few at a time."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one() -> str:
            async with turn:
                return await self.run_vm(**fields)

        return list(await asyncio.gather(*(one() for _ in range(count))))


def vm_of(path: str) -> str:
    """The VM's id in `/vms/<id>?…`."""
    return path.removeprefix("/vms/").partition("?")[0]
