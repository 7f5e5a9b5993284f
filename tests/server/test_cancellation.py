"""Cancelling: a stop that waits for its guest, a creation that waits for its host, a disk in the making."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qarax_server.errors import Conflict
from tests.postgres import TestDatabase
from tests.server.looking import host_of, host_status, open_operation, run_sql, settled, vm_with
from tests.server.running import ControlPlane, Node, control_plane, settings_for, until


@pytest.fixture
async def deaf(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A control plane whose guests do not listen to the power button."""
    settings = settings_for(database_settings, tmp_path)
    defaults = replace(settings.vm_defaults, cmdline="console=ttyS0 qarax.ignore_power_button")
    async with control_plane(replace(settings, vm_defaults=defaults)) as plane:
        yield plane


async def running_operation(plane: ControlPlane, vm_id: str) -> Any:
    async def begun() -> Any:
        return (await plane.vm(vm_id))["operation"]

    return await until(begun)


async def test_a_stop_that_waits_is_called_off_and_the_guest_goes_on(deaf: ControlPlane, node: Node) -> None:
    await deaf.add_host(node)
    vm_id = await deaf.add_vm()
    await deaf.ok("POST", f"/vms/{vm_id}/start")
    stopping = asyncio.create_task(deaf.request("POST", f"/vms/{vm_id}/stop?grace=60"))
    operation = await running_operation(deaf, vm_id)

    async def cancelled() -> Any:
        status, answer, _ = await deaf.request("POST", f"/operations/{operation['id']}/cancel")
        return answer if status == 200 else None  # 409 until the stop has reached its node

    answer = await until(cancelled)
    assert (answer["status"], answer["outcome"], answer["cancel_requested"]) == (
        "cancelled",
        "cancelled",
        True,
    )
    status, refused, _ = await stopping
    assert (status, refused["code"]) == (409, "stop_cancelled")
    vm = await deaf.vm(vm_id)
    assert (vm["status"], vm["operation"]) == ("running", None)
    status, answer, _ = await deaf.request("POST", f"/operations/{operation['id']}/cancel")
    assert (status, answer["code"]) == (409, "ended")
    assert (await deaf.ok("POST", f"/vms/{vm_id}/stop?grace=0"))["status"] == "shutdown"
    told = await deaf.ok("GET", f"/events?subject_id={vm_id}")
    assert any("was cancelled: the guest was told to power off" in event["message"] for event in told)


async def test_a_stop_cancelled_while_its_server_is_gone_is_not_gone_on_with(
    deaf: ControlPlane, node: Node
) -> None:
    await deaf.add_host(node)
    vm_id = await deaf.add_vm()
    await deaf.ok("POST", f"/vms/{vm_id}/start")
    await node.kill()
    host_id = (await deaf.vm(vm_id))["host_id"]
    await host_status(deaf, host_id, "unknown")
    left = await open_operation(deaf, vm_id, "stop", grace_seconds=9)
    answer = await deaf.ok("POST", f"/operations/{left}/cancel")
    assert (answer["status"], answer["cancel_requested"]) == ("running", True)
    await node.start()  # a simulated guest does not outlive its node: the stop came true all the same
    assert (await settled(deaf, left))["status"] == "succeeded"
    assert (await deaf.vm(vm_id))["status"] == "shutdown"


async def test_a_stop_that_its_node_is_at_is_called_off_after_a_crash(deaf: ControlPlane, node: Node) -> None:
    """The wish was written by a server that did not live to tell the node, which would force the VM."""
    host_id = await deaf.add_host(node)
    vm_id = await deaf.add_vm()
    await deaf.ok("POST", f"/vms/{vm_id}/start")
    client = deaf.server.core.nodes.of(await host_of(deaf, host_id))
    stopping = asyncio.create_task(client.stop_vm(vm_id, 5))

    async def at_it() -> bool:
        return (await client.get_vm(vm_id)).doing == "stop"

    await until(at_it)
    left = await open_operation(deaf, vm_id, "stop", cancelled=True, grace_seconds=5)
    assert (await settled(deaf, left))["status"] == "cancelled"
    with pytest.raises(Conflict, match="the stop was cancelled"):
        await stopping
    assert (await deaf.vm(vm_id))["status"] == "running"


async def test_a_creation_that_waits_for_its_host_is_undone(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await node.kill()
    await host_status(plane, host_id, "unknown")
    for left_over in (node.directory / vm_id).iterdir():
        left_over.unlink()
    (node.directory / vm_id).rmdir()
    await run_sql(plane, "UPDATE vms SET status = 'unknown', observed_generation = 0 RETURNING id")
    left = await open_operation(plane, vm_id, "create")
    await plane.ok("POST", f"/operations/{left}/cancel")
    await node.start()
    assert (await settled(plane, left))["status"] == "cancelled"
    assert (await plane.request("GET", f"/vms/{vm_id}"))[0] == 404
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (0, 0)


async def test_what_cannot_be_taken_back_says_what_to_do(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await node.kill()
    host_id = (await plane.vm(vm_id))["host_id"]
    await host_status(plane, host_id, "unknown")
    left = await open_operation(plane, vm_id, "start")
    status, answer, _ = await plane.request("POST", f"/operations/{left}/cancel")
    assert (status, answer["code"]) == (409, "not_cancellable")
    assert answer["message"] == "start of vm-1 cannot be taken back: stop the VM when it runs, or delete it"
    await node.start()
    await settled(plane, left)
    await vm_with(plane, vm_id, status="created")
