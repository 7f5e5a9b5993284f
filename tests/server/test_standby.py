"""Two servers on one database: one is active, the other waits, and one that slept does no harm."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
from qarax_proto import node_pb2

from qarax_server.api.hosts import MONITOR
from qarax_server.settings import Lease
from tests.postgres import TestDatabase
from tests.server.looking import host_of, run_sql
from tests.server.running import (
    ControlPlane,
    Node,
    control_plane,
    new_vm,
    settings_for,
    start_control_plane,
    until,
)


async def test_a_standby_watches_nobody_when_the_database_is_back(
    plane: ControlPlane, node: Node, database_settings: TestDatabase, tmp_path: Path
) -> None:
    """What it sees, or does not, is not for it to write."""
    host_id = await plane.add_host(node)
    standby = await start_control_plane(settings_for(database_settings, tmp_path), "standby", wait=False)
    try:
        await standby.server.app[MONITOR].look_again()
        assert standby.server.app[MONITOR]._watchers == {}
        await plane.server.app[MONITOR].look_again()
        assert list(plane.server.app[MONITOR]._watchers) == [host_id]
    finally:
        await standby.stop()


async def test_one_server_is_active_and_the_other_takes_over(
    plane: ControlPlane, node: Node, database_settings: TestDatabase, tmp_path: Path
) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    settings = settings_for(database_settings, tmp_path)
    standby = await start_control_plane(settings, "standby", wait=False)
    try:
        status, answer, _ = await standby.request("GET", "/readyz")
        assert status == 503

        async def reads() -> bool:
            return (await standby.request("GET", f"/vms/{vm_id}"))[0] == 200

        await until(reads)
        status, answer, _ = await standby.request("POST", f"/vms/{vm_id}/start")
        assert (status, answer["code"]) == (503, "not_active")
        await plane.stop()

        async def ready() -> bool:
            return (await standby.request("GET", "/readyz"))[0] == 200

        await until(ready)
        assert standby.server.core.nodes.fence > plane.server.core.nodes.fence
        assert (await standby.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"
    finally:
        await standby.stop()


async def test_a_server_that_slept_is_refused_and_steps_down(
    plane: ControlPlane, node: Node, database_settings: TestDatabase, tmp_path: Path
) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await run_sql(
        plane, "UPDATE lease SET expires_at = now() - interval '1 s', holder = 'gone' RETURNING fence"
    )
    async with control_plane(settings_for(database_settings, tmp_path), "other") as other:

        async def started() -> bool:
            return (await other.request("POST", f"/vms/{vm_id}/start"))[0] == 200

        await until(started)
        status, answer, _ = await plane.request("POST", f"/vms/{vm_id}/pause")
        assert status == 503, answer
        assert answer["code"] in {"fenced", "not_active"}
        assert (await other.vm(vm_id))["status"] == "running"

        async def stepped_down() -> bool:
            return not plane.server.core.lease.active

        await until(stepped_down)


async def test_what_a_server_that_slept_had_begun_is_the_others(
    node: Node, database_settings: TestDatabase, tmp_path: Path
) -> None:
    """It is refused by the node, and leaves its operations to whoever is the active one."""
    long = Lease(seconds=60.0, renew_seconds=50.0)
    async with control_plane(settings_for(database_settings, tmp_path, lease=long), "sleeper") as sleeper:
        host_id = await sleeper.add_host(node)
        vm_id = await sleeper.add_vm()
        await run_sql(
            sleeper, "UPDATE lease SET expires_at = now() - interval '1 s', holder = 'gone' RETURNING fence"
        )
        async with control_plane(settings_for(database_settings, tmp_path), "other") as other:
            await look_refused(sleeper, host_id, vm_id)
            answers = await asyncio.gather(
                sleeper.request("POST", "/vms", new_vm("late")), sleeper.request("DELETE", f"/vms/{vm_id}")
            )
            assert [(status, answer["code"]) for status, answer, _ in answers] == [(503, "fenced")] * 2

            async def as_asked() -> bool:
                vms = await other.ok("GET", "/vms")
                return [(vm["name"], vm["status"]) for vm in vms] == [("late", "created")]

            await until(as_asked)
            for action in ("create", "delete"):
                ended = [
                    each["status"]
                    for each in await other.ok("GET", "/operations")
                    if each["action"] == action
                ]
                assert set(ended) == {"succeeded"}, action


async def look_refused(plane: ControlPlane, host_id: str, vm_id: str) -> None:
    """Wait until the node refuses a server, although the newer one has done no more than look."""
    client = plane.server.core.nodes.of(await host_of(plane, host_id))
    request = node_pb2.VmRequest(fence=client.fence(), vm_id=vm_id)

    async def refused() -> bool:
        try:
            await client.stub.PauseVm(request)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.ABORTED
        return False

    await until(refused)
