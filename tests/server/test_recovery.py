"""After faults the database agrees with the nodes again, and what was begun comes to an end."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

from qarax_proto import node_pb2

from qarax_server.api.hosts import MONITOR
from tests.server.looking import host_of, host_status, open_operation, run_sql, settled, vm_with
from tests.server.running import (
    ControlPlane,
    Node,
    new_vm,
    until,
)


async def test_a_host_that_falls_silent_is_unknown_with_its_vms_and_comes_back(
    plane: ControlPlane, node: Node
) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    node.signal(signal.SIGSTOP)
    began = time.monotonic()
    status, answer, _ = await plane.request("POST", f"/vms/{vm_id}/pause")
    assert status in {503, 504}, answer
    assert time.monotonic() - began < 5
    host = await host_status(plane, host_id, "unknown")
    assert host["status_reason"].startswith("its node does not answer at 127.0.0.1:")
    vm = await plane.vm(vm_id)
    assert vm["status"] == "unknown"
    assert vm["status_reason"] == "host host-1 does not answer; last seen running"
    status, answer, _ = await plane.request("POST", "/vms", new_vm("other"))
    assert (status, answer["code"]) == (422, "no_host_fits")
    status, answer, _ = await plane.request("POST", f"/vms/{vm_id}/stop")
    assert status in {409, 503}, answer
    node.signal(signal.SIGCONT)
    await host_status(plane, host_id, "up")
    await vm_with(plane, vm_id, operation=None)
    assert (await plane.vm(vm_id))["status"] in {"running", "paused"}


async def test_a_node_that_is_restarted_is_followed_again(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await node.kill()
    await node.start()
    vm = await vm_with(plane, vm_id, status="shutdown")
    assert vm["operation"] is None
    assert (await plane.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"


async def test_open_operations_are_settled_by_what_is_so(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    start = await settled(plane, await open_operation(plane, vm_id, "start"))
    assert (start["status"], (await plane.vm(vm_id))["status"]) == ("failed", "created")
    assert "cut off before it happened; the VM is created" in start["reason"]
    await plane.ok("POST", f"/vms/{vm_id}/start")
    start = await settled(plane, await open_operation(plane, vm_id, "start"))
    assert (start["status"], start["actor"]) == ("succeeded", "ada")
    stop = await settled(plane, await open_operation(plane, vm_id, "stop", grace_seconds=5))
    assert (stop["status"], stop["outcome"]) == ("succeeded", "obeyed")
    delete = await settled(plane, await open_operation(plane, vm_id, "delete"))
    assert delete["status"] == "succeeded"
    assert (await plane.request("GET", f"/vms/{vm_id}"))[0] == 404


async def test_a_start_that_its_node_is_at_is_waited_for(plane: ControlPlane, tmp_path: Path) -> None:
    """Its answer is lost; what is seen before its end says nothing of its end."""
    node = Node(tmp_path / "slow", options=("--simulated-boot-seconds", "3"))
    await node.start()
    try:
        host_id = await plane.add_host(node)
        vm_id = await plane.add_vm()
        client = plane.server.core.nodes.of(await host_of(plane, host_id))
        started = node_pb2.StartVmRequest(fence=client.fence(), vm_id=vm_id)
        starting = asyncio.create_task(client.call(client.stub.StartVm, started, 10.0))

        async def at_it() -> bool:
            return (await client.get_vm(vm_id)).doing == "start"

        await until(at_it)
        start = await settled(plane, await open_operation(plane, vm_id, "start"))
        assert (start["status"], (await plane.vm(vm_id))["status"]) == ("succeeded", "running")
        await starting
    finally:
        await node.kill()


async def test_a_host_whose_watcher_ended_is_watched_again(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    monitor = plane.server.app[MONITOR]
    watcher, task = monitor._watchers[host_id]
    task.cancel()
    await asyncio.wait({task})
    await monitor.refresh()
    assert monitor._watchers[host_id][0] is not watcher
    await node.kill()
    await host_status(plane, host_id, "unknown")


async def test_a_creation_that_was_cut_off_is_finished(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.server.core.nodes.of(await host_of(plane, host_id)).delete_vm(vm_id)
    await run_sql(plane, "UPDATE vms SET status = 'unknown', observed_generation = 0 RETURNING id")
    create = await settled(plane, await open_operation(plane, vm_id, "create"))
    assert create["status"] == "succeeded"
    assert (await plane.vm(vm_id))["status"] == "created"


async def test_a_vm_deleted_while_its_host_is_away_is_gone_when_it_returns(
    plane: ControlPlane, node: Node
) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await node.kill()
    await host_status(plane, host_id, "unknown")
    status, answer, response = await plane.request("DELETE", f"/vms/{vm_id}")
    assert (status, answer["code"], response.headers["Retry-After"]) == (503, "node_unavailable", "5")
    assert "?force=true" in answer["message"]
    await plane.ok("DELETE", f"/vms/{vm_id}?force=true")
    assert (await plane.request("GET", f"/vms/{vm_id}"))[0] == 404
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert host["allocated_vcpus"] == 0
    await node.start()
    await host_status(plane, host_id, "up")

    async def told() -> bool:
        return not await run_sql(plane, "SELECT * FROM tombstones")

    await until(told)
    assert not (node.directory / vm_id).exists()
    assert await run_sql(plane, "SELECT * FROM orphans") == []


async def test_a_vm_that_nobody_knows_is_listed_and_left_alone(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await run_sql(plane, "DELETE FROM vms RETURNING id")
    await plane.server._monitor.look_again()

    async def listed() -> Any:
        return await run_sql(plane, "SELECT * FROM orphans")

    orphan = (await until(listed))[0]
    assert (orphan["vm_id"], orphan["host_id"], orphan["status"]) == (vm_id, host_id, "running")
    state = await plane.server.core.nodes.of(await host_of(plane, host_id)).get_vm(vm_id)
    assert state.status == "running"


async def test_a_vm_that_its_node_lost_is_unknown(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.server.core.nodes.of(await host_of(plane, host_id)).delete_vm(vm_id)
    vm = await vm_with(plane, vm_id, status="unknown")
    assert vm["status_reason"] == "the node of its host does not have this VM"
    await plane.ok("DELETE", f"/vms/{vm_id}")


async def test_another_node_at_a_known_address_gets_no_command(
    plane: ControlPlane, node: Node, tmp_path: Path
) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await node.kill()
    other = Node(tmp_path / "other", port=node.port)
    await other.start()
    try:

        async def noticed() -> bool:
            host = await plane.ok("GET", f"/hosts/{host_id}")
            return host["status"] == "unknown" and "misidentified" in (host["status_reason"] or "")

        await until(noticed)
        assert (await plane.request("POST", f"/vms/{vm_id}/start"))[0] == 503
        assert not (other.directory / vm_id).exists()
        await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "down"})
        host = await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
        assert host["status"] == "up"
    finally:
        await other.kill()


async def test_events_tell_of_a_host_what_its_get_tells(plane: ControlPlane, node: Node) -> None:
    """A host that was taken down and up again stayed unknown to whoever follows the events."""
    host_id = await plane.add_host(node)

    async def told() -> list[str]:
        events = await plane.ok("GET", f"/events?subject_id={host_id}")
        host = await plane.ok("GET", f"/hosts/{host_id}")
        for field in ("status", "status_reason", "drivers", "cpus", "memory_bytes"):
            assert events[-1]["after"][field] == host[field], events[-1]["message"]
        return [event["message"] for event in events]

    await told()
    for status in ("down", "up"):
        await plane.ok("PATCH", f"/hosts/{host_id}", {"status": status})
        messages = await told()
    assert messages[-1] == "the node of host host-1 answers"
    await plane.server.app[MONITOR].ask(host_id, 10.0)
    assert await told() == messages, "what is known is told once"


async def test_a_host_where_nobody_listens_says_so_at_once(plane: ControlPlane, tmp_path: Path) -> None:
    node = Node(tmp_path / "later")
    new = {"name": "h", "address": "127.0.0.1", "port": node.port, "host_user": "root"}
    host_id = await plane.ok("POST", "/hosts", new)
    assert (await plane.ok("GET", f"/hosts/{host_id}"))["status"] == "down"
    began = time.monotonic()
    host = await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
    assert time.monotonic() - began < 3
    assert host["status"] == "unknown"
    assert host["status_reason"] == f"its node does not answer at 127.0.0.1:{node.port}: connection refused"
    await node.start()
    await host_status(plane, host_id, "up")
    await node.kill()


async def test_a_client_that_hangs_up_does_not_stop_what_it_began(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm(stop_grace_seconds=1)
    await plane.ok("POST", f"/vms/{vm_id}/start")
    leaving = asyncio.create_task(plane.request("POST", f"/vms/{vm_id}/stop"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await vm_with(plane, vm_id, status="shutdown", operation=None)


async def test_starting_what_its_node_lost_says_so(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await plane.ok("POST", f"/vms/{vm_id}/pause")
    host_id = (await plane.vm(vm_id))["host_id"]
    await plane.server.core.nodes.of(await host_of(plane, host_id)).delete_vm(vm_id)
    status, answer, _ = await plane.request("POST", f"/vms/{vm_id}/resume")
    assert status == 409, answer
    failed = await plane.ok("GET", f"/operations?subject_id={vm_id}&status=failed")
    assert len(failed) <= 1
