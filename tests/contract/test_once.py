"""F9 over the whole chain: one VM per Idempotency-Key, at once, in turn and after a restart of the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.postgres import TestDatabase
from tests.server.running import Node, control_plane, new_vm, settings_for


async def test_one_vm_per_key(database_settings: TestDatabase, node: Node, tmp_path: Path) -> None:
    settings = settings_for(database_settings, tmp_path)
    body = new_vm("once")
    async with control_plane(settings) as plane:
        await plane.add_host(node)
        requests = [plane.request("POST", "/vms", body, Idempotency_Key="k") for _ in range(100)]
        answers = {(status, text) for status, text, _ in await asyncio.gather(*requests)}
        assert len(answers) == 1
        first = answers.pop()
        assert first[0] == 201
        assert [vm["id"] for vm in await plane.ok("GET", "/vms")] == [first[1]]
        started = [plane.request("POST", f"/vms/{first[1]}/start", Idempotency_Key="s") for _ in range(20)]
        assert {status for status, _, _ in await asyncio.gather(*started)} == {200}
        operations = await plane.ok("GET", f"/operations?subject_id={first[1]}")
        assert sorted(each["action"] for each in operations) == ["create", "start"]
    async with control_plane(settings) as plane:
        status, text, response = await plane.request("POST", "/vms", body, Idempotency_Key="k")
        assert ((status, text), response.headers["Location"]) == (first, f"/vms/{first[1]}")
        status, _, _ = await plane.request("POST", "/vms", body | {"name": "other"}, Idempotency_Key="k")
        assert status == 422
        assert len(await plane.ok("GET", "/vms")) == 1
