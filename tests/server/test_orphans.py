"""VMs that nobody here knows, and VMs that differ on their node: shown, and touched only when told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from qarax_server.models import Host
from qarax_server.observed import Observation
from qarax_server.store import hosts
from tests.server.looking import host_of, run_sql, vm_with
from tests.server.running import ELF, ControlPlane, Node, until


async def lose_vm(plane: ControlPlane, vm_id: str) -> Any:
    """Let the database forget a VM as a lost commit would; return the orphan it becomes."""
    await run_sql(
        plane,
        "UPDATE hosts SET allocated_vcpus = 0, allocated_memory_bytes = 0 RETURNING id",
    )
    await run_sql(plane, "DELETE FROM vms WHERE id = %(id)s RETURNING id", id=vm_id)
    await plane.server._monitor.look_again()

    async def listed() -> Any:
        return await plane.ok("GET", "/orphans")

    return (await until(listed))[0]


async def actions_on(plane: ControlPlane, subject_id: str) -> list[str]:
    events = await plane.ok("GET", f"/events?subject_id={subject_id}")
    return [f"{event['subject_type']} {event['action']}" for event in events]


async def test_an_orphan_is_adopted_with_all_that_it_was(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    limits = {"bandwidth": {"size": 1000, "refill_time": 100}}
    network = {"id": "net0", "tap": "qtap0", "mac": "52:54:00:12:34:56", "mtu": 1400, "rate_limiter": limits}
    vm_id = await plane.add_vm(config={"a": 1}, networks=[network], memory_hotplug_size=2**20)
    before = await plane.ok("POST", f"/vms/{vm_id}/start")
    orphan = await lose_vm(plane, vm_id)
    assert (orphan["vm_id"], orphan["host_id"], orphan["name"]) == (vm_id, host_id, "vm-1")
    assert await plane.ok("GET", f"/orphans?host_id={host_id}&ignored=false") == [orphan]
    after = await plane.ok("POST", f"/hosts/{host_id}/orphans/{vm_id}/adopt")
    fresh = {"created_at", "updated_at"}
    assert {k: v for k, v in after.items() if k not in fresh} == {
        k: v for k, v in before.items() if k not in fresh
    }
    assert await plane.ok("GET", "/orphans") == []
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (1, 65 * 2**20)
    assert (await actions_on(plane, vm_id))[-2:] == ["orphan adopt", "vm adopt"]
    status, answer, _ = await plane.request("GET", f"/vms/{vm_id}/placement")
    assert (status, answer["code"]) == (404, "no_placement")
    assert (await plane.ok("POST", f"/vms/{vm_id}/stop"))["status"] == "shutdown"
    assert (await plane.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"
    await plane.ok("DELETE", f"/vms/{vm_id}")


async def test_a_look_at_a_stranger_that_its_deletion_overtook_leaves_no_orphan(
    plane: ControlPlane, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await lose_vm(plane, vm_id)
    reconciler = plane.server._monitor._reconciler
    look = reconciler._look
    looks: list[Observation | None] = []

    async def overtaken(host: Host, looked_for: str) -> Observation | None:
        found = await look(host, looked_for)
        if not looks:
            looks.append(found)
            await plane.ok("DELETE", f"/hosts/{host_id}/orphans/{vm_id}")
        return found

    monkeypatch.setattr(reconciler, "_look", overtaken)
    await reconciler._find_stranger(host_id, Observation(vm_id, "vm-1", "running", "", "simulated", 1, 0))
    assert looks[0] is not None
    assert await plane.ok("GET", "/orphans") == []


async def test_what_becomes_of_an_orphan_while_it_is_adopted_is_seen(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await lose_vm(plane, vm_id)
    client = plane.server.core.nodes.of(await host_of(plane, host_id))

    async def waits() -> Any:
        return await run_sql(
            plane,
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )

    async def heard() -> bool:
        return vm_id in plane.server._monitor._inbox._waiting

    async with plane.server.core.database.transaction() as tx:
        await hosts.lock_host(tx, host_id)
        adopting = asyncio.create_task(plane.ok("POST", f"/hosts/{host_id}/orphans/{vm_id}/adopt"))
        await until(waits)
        await client.stop_vm(vm_id, 0)
        await until(heard)
    await adopting
    await vm_with(plane, vm_id, status="shutdown")


async def test_what_is_missing_for_an_adoption_is_named(
    plane: ControlPlane, node: Node, tmp_path: Path
) -> None:
    host_id = await plane.add_host(node)
    pool = tmp_path / "pool"
    pool.mkdir(mode=0o755)
    (pool / "kernel").write_bytes(ELF)
    (pool / "disk").write_bytes(bytes(4096))
    new_pool = {"name": "p", "pool_type": "local", "host_id": host_id, "config": {"path": str(pool)}}
    pool_id = await plane.ok("POST", "/storage-pools", new_pool)
    ids = {}
    for name, kind in (("kernel", "kernel"), ("disk", "disk")):
        new = {"name": name, "storage_pool_id": pool_id, "object_type": kind}
        config = {"path": str(pool / name)}
        ids[name] = await plane.ok("POST", "/storage-objects", {**new, "size_bytes": 4096, "config": config})
    source = {"name": "s", "kernel_image_id": ids["kernel"], "kernel_params": "console=ttyS0 quiet"}
    source_id = await plane.ok("POST", "/boot-sources", source)
    disk = {"storage_object_id": ids["disk"]}
    vm_id = await plane.add_vm(boot_source_id=source_id, disks=[disk])
    before = await plane.vm(vm_id)
    await lose_vm(plane, vm_id)
    adopt = f"/hosts/{host_id}/orphans/{vm_id}/adopt"
    await plane.ok("DELETE", f"/boot-sources/{source_id}")
    status, answer, _ = await plane.request("POST", adopt)
    assert (status, answer["code"]) == (422, "no_such_boot_source"), answer
    assert str(pool / "kernel") in answer["message"]
    new_source_id = await plane.ok("POST", "/boot-sources", source)
    await plane.add_vm("vm-1")
    status, answer, _ = await plane.request("POST", adopt)
    assert (status, answer["code"]) == (409, "vms_name_taken"), answer
    assert (await plane.request("POST", f"{adopt}?name=-x"))[0] == 422
    other = next(vm for vm in await plane.ok("GET", "/vms") if vm["name"] == "vm-1")
    await plane.ok("DELETE", f"/vms/{other['id']}")
    vm = await plane.ok("POST", adopt)
    assert (vm["boot_source_id"], vm["disks"]) == (new_source_id, before["disks"])
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert host["allocated_vcpus"] == 1


async def test_an_orphan_whose_name_breaks_the_rules_is_adopted_by_another(
    plane: ControlPlane, node: Node
) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await node.kill()
    kept = node.directory / vm_id / "spec.json"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "name": "[/] no name"}))
    await node.start()
    await lose_vm(plane, vm_id)
    adopt = f"/hosts/{host_id}/orphans/{vm_id}/adopt"
    status, answer, _ = await plane.request("POST", adopt)
    assert (status, answer["code"]) == (422, "bad_name"), answer
    assert "?name=" in answer["message"]
    assert (await plane.ok("POST", f"{adopt}?name=found-again"))["name"] == "found-again"


async def test_an_ignored_orphan_stays_and_a_deleted_one_goes(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await lose_vm(plane, vm_id)
    place = f"/hosts/{host_id}/orphans/{vm_id}"
    assert (await plane.ok("POST", f"{place}/ignore"))["ignored"] is True
    await plane.server._monitor.look_again()
    assert [each["ignored"] for each in await plane.ok("GET", "/orphans")] == [True]
    assert await plane.ok("GET", "/orphans?ignored=false") == []
    assert (node.directory / vm_id).exists()
    await plane.ok("DELETE", place)
    assert await plane.ok("GET", "/orphans") == []
    assert not (node.directory / vm_id).exists()
    assert await run_sql(plane, "SELECT * FROM tombstones") == []
    for method, path in (("DELETE", place), ("POST", f"{place}/adopt"), ("POST", f"{place}/ignore")):
        status, answer, _ = await plane.request(method, path)
        assert (status, answer["code"]) == (404, "no_such_orphan")


async def test_another_spec_on_the_node_is_shown_and_left_alone(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await node.kill()
    kept = node.directory / vm_id / "spec.json"
    spec = json.loads(kept.read_text())
    kept.write_text(json.dumps({**spec, "boot_vcpus": 2, "max_vcpus": 2}))
    await node.start()
    sentence = "its node keeps another spec than it was told: the next start replaces it"
    vm = await vm_with(plane, vm_id, status="created", status_reason=sentence)
    assert vm["boot_vcpus"] == 1
    assert json.loads(kept.read_text())["boot_vcpus"] == 2
    events = await plane.ok("GET", f"/events?subject_id={vm_id}")
    assert any(sentence in event["message"] for event in events)
    vm = await plane.ok("POST", f"/vms/{vm_id}/start")
    assert (vm["status"], vm["status_reason"]) == ("running", None)
    assert json.loads(kept.read_text())["boot_vcpus"] == 1


async def test_a_changed_shape_is_no_drift(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    assert (await plane.ok("PATCH", f"/vms/{vm_id}", {"max_vcpus": 4}))["status_reason"] is None
    assert (await plane.ok("POST", f"/vms/{vm_id}/start"))["status_reason"] is None
    await node.kill()
    await node.start()
    await vm_with(plane, vm_id, status="shutdown")
    assert "another spec" not in ((await plane.vm(vm_id))["status_reason"] or "")


async def test_a_node_learns_of_autostart_at_once(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    kept = node.directory / vm_id / "spec.json"
    for wish in (True, False):
        vm = await plane.ok("PATCH", f"/vms/{vm_id}", {"autostart": wish})
        assert (vm["autostart"], vm["status"], vm["status_reason"]) == (wish, "running", None)
        assert json.loads(kept.read_text()).get("autostart", False) is wish
    events = await plane.ok("GET", f"/events?subject_id={vm_id}")
    assert not any("another spec" in event["message"] for event in events)
    await node.kill()
    vm = await plane.ok("PATCH", f"/vms/{vm_id}", {"autostart": True})  # told at the next start
    assert vm["autostart"] is True
    await node.start()
    await vm_with(plane, vm_id, status="shutdown")
    await plane.ok("POST", f"/vms/{vm_id}/start")
    assert json.loads(kept.read_text())["autostart"] is True
