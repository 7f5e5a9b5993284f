"""The chain from REST to a simulated guest and back."""

from __future__ import annotations

import asyncio

from tests.server.running import ControlPlane, Node, new_vm, until


async def test_a_vm_from_its_making_to_its_end(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    vm = await plane.vm(vm_id)
    assert (vm["status"], vm["host_id"], vm["driver"], vm["operation"]) == (
        "created",
        host_id,
        "simulated",
        None,
    )
    for action, status in (
        ("start", "running"),
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("reboot", "running"),
        ("stop", "shutdown"),
        ("stop", "shutdown"),
        ("start", "running"),
    ):
        vm = await plane.ok("POST", f"/vms/{vm_id}/{action}")
        assert vm["status"] == status
    operations = await plane.ok("GET", f"/operations?subject_id={vm_id}")
    stop = next(each for each in operations if each["action"] == "stop")
    assert stop["outcome"] == "obeyed"
    assert stop["reason"].startswith("the guest obeyed after 0.")
    assert "guest vm-1 is up" in await plane.ok("GET", f"/vms/{vm_id}/console")
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (1, 64 * 2**20)
    await plane.ok("DELETE", f"/vms/{vm_id}")
    assert (await plane.request("GET", f"/vms/{vm_id}"))[0] == 404
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (0, 0)


async def test_what_cannot_happen_is_a_conflict_that_names_the_status(
    plane: ControlPlane, node: Node
) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    status, answer, _ = await plane.request("POST", f"/vms/{vm_id}/pause")
    assert (status, answer["code"]) == (409, "wrong_status")
    assert answer["message"] == "vm-1: cannot pause a VM that is created: start it first"
    missing = "00000000-0000-4000-8000-000000000000"
    assert (await plane.request("POST", f"/vms/{missing}/start"))[0] == 404
    assert (await plane.request("DELETE", f"/vms/{missing}"))[0] == 404


async def test_of_many_that_come_at_once_one_acts_and_the_others_learn_why_not(
    plane: ControlPlane, node: Node
) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    answers = await asyncio.gather(*(plane.request("POST", f"/vms/{vm_id}/stop") for _ in range(10)))
    statuses = sorted(status for status, _, _ in answers)
    assert statuses[0] == 200
    assert set(statuses) <= {200, 409}
    for status, answer, _ in answers:
        if status == 409:
            assert answer["code"] == "busy"
            assert answer["operation"]["action"] == "stop"
    stops = await plane.ok("GET", f"/operations?subject_id={vm_id}&status=succeeded")
    assert [each["action"] for each in stops].count("stop") == 1


async def test_a_second_stop_without_grace_ends_the_first(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm(stop_grace_seconds=600)
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await plane.ok("POST", f"/vms/{vm_id}/pause")
    slow = asyncio.create_task(plane.request("POST", f"/vms/{vm_id}/stop"))

    async def stopping() -> bool:
        return bool((await plane.vm(vm_id))["operation"])

    await until(stopping)
    status, vm, _ = await plane.request("POST", f"/vms/{vm_id}/stop?grace=0")
    assert (status, vm["status"]) == (200, "shutdown")
    assert (await slow)[0] == 200


async def test_deleting_takes_over_whatever_runs(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    acting = [
        asyncio.create_task(plane.request("POST", f"/vms/{vm_id}/{a}")) for a in ("pause", "stop", "reboot")
    ]
    answers = await asyncio.gather(*(plane.request("DELETE", f"/vms/{vm_id}") for _ in range(3)))
    assert [status for status, _, _ in answers].count(204) == 1
    assert {status for status, _, _ in answers} <= {204, 404, 409}
    for task in acting:
        assert (await task)[0] in {200, 404, 409}
    assert (await plane.request("GET", f"/vms/{vm_id}"))[0] == 404


async def test_a_protected_vm_stays(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm(protected=True)
    status, answer, _ = await plane.request("DELETE", f"/vms/{vm_id}")
    assert (status, answer["code"]) == (409, "protected")
    await plane.ok("PATCH", f"/vms/{vm_id}", {"protected": False})
    await plane.ok("DELETE", f"/vms/{vm_id}")


async def test_without_a_host_that_is_up_the_whole_table_is_the_answer(
    plane: ControlPlane, node: Node
) -> None:
    status, answer, _ = await plane.request("POST", "/vms", new_vm("a"))
    assert (status, answer["code"], answer["placement"]["hosts"]) == (422, "no_host_fits", [])
    assert answer["message"].startswith("no host is up")
    host_id = await plane.add_host(node)
    await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "down"})
    status, answer, _ = await plane.request("POST", "/vms", new_vm("a"))
    assert status == 422
    assert [rule["rule"] for rule in answer["placement"]["hosts"][0]["rules"] if not rule["passed"]] == ["up"]


async def test_a_dry_run_decides_the_same_and_makes_nothing(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    preview = await plane.ok("POST", "/vms?dry_run=true", new_vm("a"))
    assert (preview["host_id"], preview["vm_id"]) == (host_id, None)
    assert await plane.ok("GET", "/vms") == []
    vm_id = await plane.add_vm("a")
    stored = await plane.ok("GET", f"/vms/{vm_id}/placement")
    assert {**stored, "vm_id": None, "decided_at": None} == {**preview, "decided_at": None}


async def test_what_a_node_refuses_leaves_nothing_behind(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    pool_id = await plane.ok(
        "POST", "/storage-pools", {"name": "p", "pool_type": "local", "config": {"path": str(node.directory)}}
    )
    broken = {"name": "k", "storage_pool_id": pool_id, "object_type": "kernel", "size_bytes": 1}
    path = node.directory / "kernel"
    path.write_bytes(b"\x7fELF" + bytes(4092))
    object_id = await plane.ok("POST", "/storage-objects", {**broken, "config": {"path": str(path)}})
    source_id = await plane.ok("POST", "/boot-sources", {"name": "b", "kernel_image_id": object_id})
    async with plane.server.core.database.connection() as c:
        await c.execute('UPDATE storage_pools SET config = \'{"path": "/elsewhere"}\'')
    status, answer, _ = await plane.request("POST", "/vms", new_vm("a", boot_source_id=source_id))
    assert status == 422, answer
    assert "is not inside its pool /elsewhere" in answer["message"]
    assert await plane.ok("GET", "/vms") == []
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (0, 0)
    failed = await plane.ok("GET", "/operations?status=failed")
    assert [each["action"] for each in failed] == ["create"]


async def test_creates_at_once_fill_a_host_exactly(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    host = await plane.ok("GET", f"/hosts/{host_id}")
    size = host["memory_bytes"] // 20
    wanted = [new_vm(f"vm-{n}", memory_size=size) for n in range(30)]
    room = min(20, host["cpus"] * 8)
    answers = await asyncio.gather(*(plane.request("POST", "/vms", each) for each in wanted))
    assert sorted(status for status, _, _ in answers) == [201] * room + [422] * (30 - room)
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert host["allocated_memory_bytes"] == room * size


async def test_a_vm_is_changed_and_its_claim_with_it(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    changes = {
        "name": "other",
        "description": "d",
        "boot_vcpus": 2,
        "max_vcpus": 2,
        "memory_size": 128 * 2**20,
    }
    vm = await plane.ok("PATCH", f"/vms/{vm_id}", changes)
    assert {name: vm[name] for name in changes} == changes
    topology = {"threads_per_core": 2, "cores_per_die": 1, "dies_per_package": 1, "packages": 1}
    assert (await plane.ok("PATCH", f"/vms/{vm_id}", {"cpu_topology": topology}))["cpu_topology"] == topology
    status, answer, _ = await plane.request("PATCH", f"/vms/{vm_id}", {"max_vcpus": 4})
    assert (status, list(answer["errors"])) == (422, ["cpu_topology"])
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (2, 128 * 2**20)
    await plane.ok("POST", f"/vms/{vm_id}/start")
    status, answer, _ = await plane.request("PATCH", f"/vms/{vm_id}", {"memory_size": 64 * 2**20})
    assert (status, answer["code"]) == (409, "wrong_status")
    await plane.ok("PATCH", f"/vms/{vm_id}", {"autostart": True})
    await plane.ok("DELETE", f"/vms/{vm_id}")
    host = await plane.ok("GET", f"/hosts/{host_id}")
    assert (host["allocated_vcpus"], host["allocated_memory_bytes"]) == (0, 0)


async def test_changes_at_once_leave_the_claim_exact(plane: ControlPlane, node: Node) -> None:
    """Each moves the claim by what the one before it left."""
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    sizes = [number * 64 * 2**20 for number in range(1, 21)]
    answers = await asyncio.gather(
        *(plane.request("PATCH", f"/vms/{vm_id}", {"memory_size": size}) for size in sizes)
    )
    assert {status for status, _, _ in answers} == {200}
    host, vm = await plane.ok("GET", f"/hosts/{host_id}"), await plane.vm(vm_id)
    assert host["allocated_memory_bytes"] == vm["memory_size"]
    await plane.ok("DELETE", f"/vms/{vm_id}")
    assert (await plane.ok("GET", f"/hosts/{host_id}"))["allocated_memory_bytes"] == 0


async def test_a_vm_that_is_being_started_keeps_its_shape(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    for number in range(10):
        vm_id = await plane.add_vm(f"vm-{number}")
        started, (changed, answer, _) = await asyncio.gather(
            plane.request("POST", f"/vms/{vm_id}/start"),
            plane.request("PATCH", f"/vms/{vm_id}", {"memory_size": 128 * 2**20}),
        )
        assert started[0] == 200
        assert changed in {200, 409}, answer
        vm = await plane.vm(vm_id)
        assert (vm["memory_size"] > 64 * 2**20) == (changed == 200)
        assert vm["status_reason"] is None, "what runs is what is kept"


async def test_a_host_with_vms_cannot_be_forgotten(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    status, answer, _ = await plane.request("DELETE", f"/hosts/{host_id}")
    assert (status, answer["code"]) == (409, "in_use")
    await plane.ok("DELETE", f"/vms/{vm_id}")
    await plane.ok("DELETE", f"/hosts/{host_id}")
    assert await plane.ok("GET", "/hosts") == []


async def test_metrics_of_a_vm(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    assert (await plane.ok("GET", f"/vms/{vm_id}/metrics"))["counters"] == {}
    await plane.ok("POST", f"/vms/{vm_id}/start")
    metrics = await plane.ok("GET", f"/vms/{vm_id}/metrics")
    assert (metrics["vm_id"], metrics["status"]) == (vm_id, "running")


async def test_one_key_makes_one_vm_however_often_it_comes(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    requests = [plane.request("POST", "/vms", new_vm("a"), Idempotency_Key="k") for _ in range(30)]
    answers = await asyncio.gather(*requests)
    assert {status for status, _, _ in answers} == {201}
    assert len({vm_id for _, vm_id, _ in answers}) == 1
    assert len(await plane.ok("GET", "/vms")) == 1
    status, answer, _ = await plane.request("POST", "/vms", new_vm("b"), Idempotency_Key="k")
    assert (status, answer["code"]) == (422, "idempotency_key_reused")


async def test_a_name_that_is_taken_is_a_conflict_and_claims_nothing(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    await plane.add_vm("a")
    status, answer, _ = await plane.request("POST", "/vms", new_vm("a"))
    assert (status, answer["code"]) == (409, "vms_name_taken")
    assert (await plane.ok("GET", f"/hosts/{host_id}"))["allocated_vcpus"] == 1
