r"""A control plane at the process edge: the REST contract on a real port, in memory, with knobs to fail by.

    async with ControlPlane() as plane:
        host = plane.add("host", name="alpha", status="up")
        vm = plane.add("vm", name="web-1", status="running", host_id=host)
        plane.change("vm", vm, status="paused")          # an event goes out
        plane.console(vm).write(b"hello\r\n")
        ... plane.url ...
        await plane.kill(); await plane.revive()         # the same port

`plane.requests` lists what was asked; `plane.refuse(method, path, status, body)` refuses the next such call;
`plane.delay` slows every answer. Consoles are in `console_stream`, events in `event_stream`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections import defaultdict
from typing import Any, Self

from aiohttp import web

from tests.fakes.console_stream import FakeConsole, serve_console
from tests.fakes.event_stream import serve_events
from tests.fakes.resources import ACTION_STATUS, ALLOWED, PATHS, counters, new_resource, now
from tests.fakes.wire import paged


class ControlPlane:
    """Resources by noun and id, the events they caused, and a server that can be killed and revived."""

    def __init__(self, heartbeat: float = 10.0) -> None:
        self.resources: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.events: list[dict[str, Any]] = []
        self.oldest_kept = 1
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[tuple[str, str, Any]] = []
        self.delay = 0.0
        self.heartbeat = heartbeat
        self.action_seconds = 0.0
        self.counters = counters()
        self._consoles: dict[str, FakeConsole] = {}
        self._refusals: list[tuple[str, str, int, Any]] = []
        self._sequence = itertools.count(1)
        self.news = asyncio.Event()
        self._port = 0
        self._runner: web.AppRunner | None = None

    # --- life --------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.revive()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def revive(self) -> None:
        app = web.Application(middlewares=[self._watchful])
        self._add_routes(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """Stops listening and cuts every connection, streams too."""
        runner, self._runner = self._runner, None
        if runner is not None and runner.server is not None:
            for connection in list(runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()

    # --- content -----------------------------------------------------------------------------------------

    def add(self, noun: str, *, silently: bool = False, **fields: Any) -> str:
        body = new_resource(noun, **fields)
        self.resources[noun][body["id"]] = body
        if not silently:
            self.record(noun, "create", None, body)
        return str(body["id"])

    def change(self, noun: str, identifier: str, action: str = "update", **fields: Any) -> None:
        before = self.resources[noun][identifier]
        after = {**before, **fields, "updated_at": now()}
        self.resources[noun][identifier] = after
        self.record(noun, action, before, after)

    def remove(self, noun: str, identifier: str) -> None:
        self.record(noun, "delete", self.resources[noun].pop(identifier), None)

    def record(
        self, noun: str, action: str, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        subject = after or before or {}
        event = {
            "sequence": next(self._sequence),
            "occurred_at": now(),
            "action": action,
            "actor": "test",
            "request_id": str(uuid.uuid4()),
            "subject_type": noun,
            "subject_id": subject.get("id"),
            "subject_name": subject.get("name") or subject.get("subject_name") or "",
            "before": before,
            "after": after,
            "message": f"{noun} {action}",
        }
        self.events.append(event)
        self.news.set()
        self.news = asyncio.Event()

    def forget_events(self) -> None:
        """As a server whose retention has passed: older readers must list again."""
        self.oldest_kept = (self.events[-1]["sequence"] if self.events else 0) + 1
        self.events.clear()

    def console(self, vm_id: str) -> FakeConsole:
        return self._consoles.setdefault(vm_id, FakeConsole())

    def refuse(self, method: str, path: str, status: int, body: Any) -> None:
        self._refusals.append((method, path, status, body))

    # --- serving -----------------------------------------------------------------------------------------

    def _add_routes(self, app: web.Application) -> None:
        add = app.router.add_route
        add("GET", "/healthz", self._fine)
        add("GET", "/readyz", self._fine)
        add("GET", "/events", self._events)
        add("GET", "/vms/{id}/console", self._console)
        add("GET", "/vms/{id}/metrics", self._metrics)
        add("GET", "/vms/{id}/placement", self._placement)
        add("POST", "/vms/{id}/{action:start|stop|pause|resume|reboot}", self._act)
        add("GET", "/storage-pools/{pool}/transfers", self._transfers)
        add("POST", "/storage-pools/{pool}/transfers", self._transfer)
        add("POST", "/storage-pools/{pool}/disks", self._disk)
        add("POST", "/hosts/{host}/orphans/{id}/{action:adopt|ignore}", self._decide)
        add("DELETE", "/hosts/{host}/orphans/{id}", self._delete("orphan"))
        for noun, path in PATHS.items():
            app.router.add_get(path, self._list(noun))
            app.router.add_post(path, self._create(noun))
            app.router.add_get(f"{path}/{{id}}", self._get(noun))
            app.router.add_patch(f"{path}/{{id}}", self._patch(noun))
            app.router.add_delete(f"{path}/{{id}}", self._delete(noun))

    @web.middleware
    async def _watchful(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if request.method in ("POST", "PATCH"):
            text = await request.text()
            self.bodies.append((request.method, request.path, json.loads(text) if text else None))
        if self.delay:
            await asyncio.sleep(self.delay)
        for refusal in self._refusals:
            method, path, status, body = refusal
            if (method, path) == (request.method, request.path):
                self._refusals.remove(refusal)
                return web.json_response(body, status=status)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _fine(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    def _list(self, noun: str) -> Any:
        async def handler(request: web.Request) -> web.Response:
            rows = list(self.resources[noun].values())
            for name in ("name", "status", "host_id", "subject_id"):
                if name in request.query:
                    rows = [row for row in rows if row.get(name) == request.query[name]]
            if request.query.get("sort") == "name":
                rows.sort(key=lambda row: str(row["name"]))
            return paged(request, rows)

        return handler

    def _find(self, noun: str, identifier: str) -> dict[str, Any]:
        try:
            return self.resources[noun][identifier]
        except KeyError:
            body = {"message": f"No {noun} has the id {identifier}.", "code": "not_found"}
            raise web.HTTPNotFound(text=json.dumps(body)) from None

    def _get(self, noun: str) -> Any:
        async def handler(request: web.Request) -> web.Response:
            return web.json_response(self._find(noun, request.match_info["id"]))

        return handler

    def _create(self, noun: str) -> Any:
        async def handler(request: web.Request) -> web.Response:
            body = await request.json()
            if not body.get("name"):
                errors = {"name": ["Missing, and required."]}
                answer = {"message": "The request is not valid.", "errors": errors, "code": "invalid"}
                return web.json_response(answer, status=422)
            if "dry_run" in request.query:
                return web.json_response(self._verdicts())
            return web.Response(text=self.add(noun, **body), status=201)

        return handler

    def _patch(self, noun: str) -> Any:
        async def handler(request: web.Request) -> web.Response:
            identifier = request.match_info["id"]
            self._find(noun, identifier)
            self.change(noun, identifier, **await request.json())
            return web.json_response(self.resources[noun][identifier])

        return handler

    def _delete(self, noun: str) -> Any:
        async def handler(request: web.Request) -> web.Response:
            self._find(noun, request.match_info["id"])
            self.remove(noun, request.match_info["id"])
            return web.Response(status=204)

        return handler

    async def _act(self, request: web.Request) -> web.Response:
        identifier, action = request.match_info["id"], request.match_info["action"]
        found = self._find("vm", identifier)
        if found["status"] not in ALLOWED[action] and found["status"] != ACTION_STATUS.get(action):
            message = f"{found['name']} is {found['status']}; {action} is not possible."
            return web.json_response({"message": message, "code": "wrong_status"}, status=409)
        operation = new_resource(
            "operation", action=action, subject_id=identifier, subject_name=found["name"], status="running"
        )
        self.resources["operation"][operation["id"]] = operation
        self.record("operation", "start", None, operation)
        self.change("vm", identifier, operation=operation)
        await asyncio.sleep(self.action_seconds)
        self.change("operation", operation["id"], "end", status="succeeded", ended_at=now())
        status = ACTION_STATUS.get(action, found["status"])
        started = now() if action == "start" else found["started_at"]
        self.change("vm", identifier, action, status=status, operation=None, started_at=started)
        return web.json_response(self.resources["vm"][identifier])

    async def _transfers(self, request: web.Request) -> web.Response:
        pool = request.match_info["pool"]
        rows = [row for row in self.resources["transfer"].values() if row["storage_pool_id"] == pool]
        return paged(request, rows)

    async def _transfer(self, request: web.Request) -> web.Response:
        body = await request.json()
        identifier = self.add("transfer", storage_pool_id=request.match_info["pool"], **body)
        return web.json_response(self.resources["transfer"][identifier], status=202)

    async def _disk(self, request: web.Request) -> web.Response:
        body = await request.json()
        made = self.add(
            "storage_object", object_type="disk", storage_pool_id=request.match_info["pool"], **body
        )
        return web.json_response({"id": "making", "subject_id": made}, status=202)

    async def _decide(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        found = self._find("orphan", identifier)
        if request.match_info["action"] == "ignore":
            self.change("orphan", identifier, ignored=True)
            return web.json_response(self.resources["orphan"][identifier])
        self.remove("orphan", identifier)
        name = request.query.get("name", found["name"])
        self.add("vm", id=identifier, name=name, status=found["status"], host_id=found["host_id"])
        return web.json_response(self.resources["vm"][identifier])

    async def _metrics(self, request: web.Request) -> web.Response:
        found = self._find("vm", request.match_info["id"])
        body = {"vm_id": found["id"], "status": found["status"], "counters": self.counters}
        return web.json_response({**body, "memory_actual_size": found["memory_size"]})

    async def _placement(self, request: web.Request) -> web.Response:
        self._find("vm", request.match_info["id"])
        return web.json_response(self._verdicts())

    def _verdicts(self) -> dict[str, Any]:
        hosts = [
            {"host_id": row["id"], "host_name": row["name"], "fits": row["status"] == "up", "rules": []}
            for row in self.resources["host"].values()
        ]
        return {"hosts": hosts}

    async def _console(self, request: web.Request) -> web.StreamResponse:
        found = self._find("vm", request.match_info["id"])
        return await serve_console(request, self.console(found["id"]))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await serve_events(request, self)
