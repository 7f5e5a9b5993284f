"""Every operation of the OpenAPI document, used as a client of the contract uses it, answers held against it.

One walk through one fleet, in scenarios that build on each other; at its end no operation may be left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import grpc
from aiohttp import ClientTimeout
from qarax_proto import node_pb2, node_pb2_grpc

from tests.contract.checked import CheckedClient
from tests.contract.conftest import eventually
from tests.server.running import ControlPlane, Node

NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass
class Walk:
    """Where the walk has come to."""

    client: CheckedClient
    plane: ControlPlane
    node: Node
    directory: Path
    ids: dict[str, str] = field(default_factory=dict)


def new_vm(walk: Walk, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "hypervisor": "cloud_hv",
        "boot_vcpus": 1,
        "max_vcpus": 2,
        "memory_size": 67108864,
        "boot_source_id": walk.ids["boot_source"],
    } | fields


async def the_server_introduces_itself(walk: Walk) -> None:
    assert (await walk.client.get("/"))["name"] == "qarax"
    for path in ("/healthz", "/readyz", "/metrics", "/swagger-ui", "/swagger-ui/start.js"):
        await walk.client.get(path)
    document = await walk.client.get("/api-docs/openapi.json")
    assert document["openapi"].startswith("3.1")


async def hosts_are_registered_before_anything_listens(walk: Walk) -> None:
    client = walk.client
    away = {"name": "away", "address": "127.0.0.1", "port": 1, "host_user": "root", "password": "secret"}
    away_id = await client.create("/hosts", away)
    host = await client.get(f"/hosts/{away_id}")
    assert host["status"] == "down"
    assert "password" not in host
    refused = await client.call("POST", "/vms", {**BARE_VM, "name": "too-early"}, expect=422)
    assert "host" in refused.body["message"]
    patched = (await client.call("PATCH", f"/hosts/{away_id}", {"status": "up"}, expect=200)).body
    assert (patched["status"], bool(patched["status_reason"])) == ("unknown", True)
    await client.call("POST", "/hosts", away, expect=409)
    await client.call("DELETE", f"/hosts/{away_id}", expect=204)
    await client.call("GET", f"/hosts/{away_id}", expect=404)
    here = {"name": "host-1", "address": "127.0.0.1", "port": walk.node.port, "host_user": "root"}
    walk.ids["host"] = await client.create("/hosts", here)
    up = (await client.call("PATCH", f"/hosts/{walk.ids['host']}", {"status": "up"}, expect=200)).body
    assert (up["status"], up["drivers"][0]["name"]) == ("up", "simulated")
    assert [host["name"] for host in await client.get("/hosts?status=up")] == ["host-1"]
    await client.call("PATCH", f"/hosts/{walk.ids['host']}", {"status": "sideways"}, expect=422)


async def a_deployment_is_an_operation(walk: Walk) -> None:
    client, host_id = walk.client, walk.ids["host"]
    await client.call("POST", f"/hosts/{host_id}/deploy", {"mode": "bootc"}, expect=422)
    body = {
        "mode": "bootc",
        "image_version": f"sha256:{'0' * 64}",
        "ssh_password": "once",
        "ssh_port": 1,  # nothing is there
        "force": True,
    }
    begun = (await client.call("POST", f"/hosts/{host_id}/deploy", body, expect=202)).body
    assert (begun["subject_type"], begun["progress"]["mode"]) == ("host", "bootc")
    done = await eventually(client, f"/operations/{begun['id']}", lambda each: each["ended_at"])
    assert (done["status"], done["progress"]["failure"]["step"]) == ("failed", "connect")
    assert (await client.get(f"/hosts/{host_id}"))["status"] == "installation_failed"
    up = (await client.call("PATCH", f"/hosts/{host_id}", {"status": "up"}, expect=200)).body
    assert up["status"] == "up", "an operator's word, and its node answers"


async def files_come_into_a_pool_that_is_not_there_yet(walk: Walk) -> None:
    client = walk.client
    path = walk.directory / "pools" / "images"
    pool = {
        "name": "images",
        "pool_type": "local",
        "config": {"path": str(path)},
        "host_id": walk.ids["host"],
    }
    walk.ids["pool"] = pool_id = await client.create("/storage-pools", pool)
    assert [each["id"] for each in await client.get("/storage-pools")] == [pool_id]
    for name, kind in (("vmlinux", "kernel"), ("initrd", "initrd")):
        body = {"name": name, "source": str(walk.directory / "import" / name), "object_type": kind}
        begun = (await client.call("POST", f"/storage-pools/{pool_id}/transfers", body, expect=202)).body
        done = await eventually(
            client, f"/storage-pools/{pool_id}/transfers/{begun['id']}", lambda each: each["completed_at"]
        )
        assert (done["status"], done["error_message"]) == ("completed", None)
        walk.ids[kind] = done["storage_object_id"]
    listed = await client.get(f"/storage-pools/{pool_id}/transfers")
    assert [each["name"] for each in listed] == ["vmlinux", "initrd"]
    ended = f"/storage-pools/{pool_id}/transfers/{listed[0]['id']}/cancel"
    await client.call("POST", ended, expect=409)
    assert (path / "vmlinux").is_file()
    assert (await client.get(f"/storage-pools/{pool_id}"))["status"] == "active"
    await client.call("DELETE", f"/storage-pools/{pool_id}", expect=409)


async def objects_and_boot_sources_refer_to_files(walk: Walk) -> None:
    client, pool_id = walk.client, walk.ids["pool"]
    missing = {"name": "nothing", "storage_pool_id": pool_id, "object_type": "iso", "size_bytes": 0}
    refused = await client.call("POST", "/storage-objects", missing, expect=422)
    assert "host-1" in refused.body["message"]
    (walk.directory / "pools" / "images" / "nothing").write_bytes(bytes(512))
    object_id = await client.create("/storage-objects", missing)
    assert (await client.get(f"/storage-objects/{object_id}"))["size_bytes"] == 512
    await client.call("DELETE", f"/storage-objects/{object_id}?delete_file=true", expect=204)
    assert not (walk.directory / "pools" / "images" / "nothing").exists()
    found = await client.get(f"/storage-objects?pool_id={pool_id}&object_type=kernel")
    assert [each["id"] for each in found] == [walk.ids["kernel"]]
    source = {
        "name": "linux",
        "kernel_image_id": walk.ids["kernel"],
        "initrd_image_id": walk.ids["initrd"],
        "kernel_params": None,
    }
    walk.ids["boot_source"] = source_id = await client.create("/boot-sources", source)
    assert (await client.get(f"/boot-sources/{source_id}"))["kernel_params"]
    assert len(await client.get("/boot-sources")) == 1
    await client.call("DELETE", f"/storage-objects/{walk.ids['kernel']}", expect=409)


async def disks_are_made_by_an_operation(walk: Walk) -> None:
    client = walk.client
    body = {"name": "root-1", "size_bytes": 1048576}
    begun = (await client.call("POST", f"/storage-pools/{walk.ids['pool']}/disks", body, expect=202)).body
    done = await eventually(client, f"/operations/{begun['id']}", lambda each: each["ended_at"])
    assert (done["status"], done["subject_type"]) == ("succeeded", "storage_object")
    walk.ids["disk"] = done["subject_id"]
    assert (await client.get(f"/storage-objects/{walk.ids['disk']}"))["object_type"] == "disk"


async def a_vm_lives_its_life(walk: Walk) -> None:
    client = walk.client
    verdict = (await client.call("POST", "/vms?dry_run=true", new_vm(walk, "vm-1"), expect=200)).body
    assert (verdict["vm_id"], verdict["host_id"]) == (None, walk.ids["host"])
    assert await client.get("/vms") == []
    network = {"id": "net0", "interface_type": "tap", "mtu": 1500}
    body = new_vm(walk, "vm-1", networks=[network], disks=[{"storage_object_id": walk.ids["disk"]}])
    walk.ids["vm"] = vm_id = await client.create("/vms", body)
    vm = await client.get(f"/vms/{vm_id}")
    assert (vm["status"], vm["host_id"], vm["driver"]) == ("created", walk.ids["host"], "simulated")
    assert vm["networks"][0]["mtu"] == 1500
    assert (await client.get(f"/vms/{vm_id}/placement"))["host_id"] == walk.ids["host"]
    await client.call("POST", f"/vms/{vm_id}/pause", expect=409)
    for action, status in (
        ("start", "running"),
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("reboot", "running"),
    ):
        reached = (await client.call("POST", f"/vms/{vm_id}/{action}", expect=200)).body
        assert reached["status"] == status, action
    assert (await client.get(f"/vms/{vm_id}/metrics"))["status"] == "running"
    text = await client.get(f"/vms/{vm_id}/console?tail=100")
    assert text
    changed = await client.call(
        "PATCH", f"/vms/{vm_id}", {"description": "mine", "protected": True}, expect=200
    )
    assert (changed.body["description"], changed.body["protected"]) == ("mine", True)
    await client.call("PATCH", f"/vms/{vm_id}", {"memory_size": 134217728}, expect=409)
    await client.call("DELETE", f"/vms/{vm_id}", expect=409)
    await client.call("PATCH", f"/vms/{vm_id}", {"protected": False}, expect=200)
    stopped = (await client.call("POST", f"/vms/{vm_id}/stop?grace=1", expect=200)).body
    assert stopped["status"] == "shutdown"
    await client.call("POST", f"/vms/{vm_id}/start", expect=200)
    await client.call("DELETE", f"/vms/{vm_id}", expect=204)
    await client.call("GET", f"/vms/{vm_id}", expect=404)
    await client.call("POST", f"/vms/{vm_id}/start", expect=404)


async def a_node_has_what_nobody_knows(walk: Walk) -> None:
    client, host_id = walk.client, walk.ids["host"]
    source = await client.get(f"/boot-sources/{walk.ids['boot_source']}")
    kernel, initrd = [
        node_pb2.FileReference(pool_path=str(PurePath(path).parent), path=path)
        for each in (source["kernel_image_id"], source["initrd_image_id"])
        for path in [(await client.get(f"/storage-objects/{each}"))["config"]["path"]]
    ]
    spec = node_pb2.VmSpec(
        name="stranger", driver="simulated", boot_vcpus=1, max_vcpus=1, memory_size=67108864, memory_thp=True
    )
    spec.kernel.CopyFrom(kernel)
    spec.initrd.CopyFrom(initrd)
    spec.cmdline = source["kernel_params"]
    ids = [str(uuid.uuid4()) for _ in range(2)]
    fence = node_pb2.Fence(number=walk.plane.server.core.nodes.fence)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{walk.node.port}") as channel:
        node: Any = node_pb2_grpc.NodeStub(channel)
        for vm_id in ids:
            await node.CreateVm(node_pb2.CreateVmRequest(fence=fence, vm_id=vm_id, spec=spec))
    found = await eventually(client, f"/orphans?host_id={host_id}", lambda list_: len(list_) == len(ids))
    assert {each["vm_id"] for each in found} == set(ids)
    places = [f"/hosts/{host_id}/orphans/{vm_id}" for vm_id in ids]
    ignored = (await client.call("POST", f"{places[0]}/ignore", expect=200)).body
    assert ignored["ignored"] is True
    adopted = (await client.call("POST", f"{places[0]}/adopt", expect=200)).body
    assert (adopted["status"], adopted["boot_source_id"]) == ("created", source["id"])
    await client.call("POST", f"{places[1]}/adopt", expect=409)
    await client.call("DELETE", places[1], expect=204)
    await client.call("DELETE", f"/vms/{ids[0]}", expect=204)
    assert await client.get("/orphans") == []


async def everything_that_happened_is_on_record(walk: Walk) -> None:
    client = walk.client
    done = await client.get(f"/operations?subject_id={walk.ids['vm']}")
    assert "create" in {each["action"] for each in done}
    await client.call("POST", f"/operations/{done[0]['id']}/cancel", expect=409)
    events = await client.get(f"/events?subject_id={walk.ids['vm']}")
    assert events[-1]["after"] is None
    assert events[0]["before"] is None
    last = events[-1]["sequence"]
    assert all(each["sequence"] > last for each in await client.get(f"/events?after={last}"))
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last - 1)}
    timeout = ClientTimeout(total=10)
    async with client.session.get(client.url + "/events", headers=headers, timeout=timeout) as stream:
        assert stream.content_type == "text/event-stream"
        text = b""
        while f"id: {last}\n".encode() not in text:
            text += await stream.content.readany()
    hello = text.split(b"\n\n")[0].decode()
    assert hello.startswith("event: hello\ndata: ")
    begins = json.loads(hello.partition("data: ")[2])
    assert (begins["sequence"], begins["oldest"], begins["newest"] >= last) == (last - 1, 1, True)


async def the_figures_add_up(walk: Walk) -> None:
    figures = await walk.client.get("/metrics")
    assert 'qarax_resources{kind="hosts",status="up"} 1.0' in figures
    assert 'qarax_node_call_seconds_count{call="CreateVmRequest",outcome="ok"}' in figures
    assert 'qarax_http_requests_total{method="POST",route="/vms/{vm_id}/start",status="200"}' in figures
    assert "qarax_event_lag_seconds" in figures
    assert "qarax_tasks" in figures


async def everything_is_taken_down_again(walk: Walk) -> None:
    client = walk.client
    await client.call("DELETE", f"/boot-sources/{walk.ids['boot_source']}", expect=204)
    for each in await client.get("/storage-objects"):
        await client.call("DELETE", f"/storage-objects/{each['id']}", expect=204)
    await client.call("DELETE", f"/storage-pools/{walk.ids['pool']}", expect=204)
    await client.call("DELETE", f"/hosts/{walk.ids['host']}", expect=204)
    for path in ("/hosts", "/storage-pools", "/storage-objects", "/boot-sources", "/vms"):
        assert await client.get(path) == []
        await client.call("GET", f"{path}/{NOBODY}", expect=404)
        await client.call("DELETE", f"{path}/{NOBODY}", expect=404)


BARE_VM = {"hypervisor": "cloud_hv", "boot_vcpus": 1, "max_vcpus": 1, "memory_size": 67108864}
SCENARIOS: tuple[Callable[[Walk], Awaitable[None]], ...] = (
    the_server_introduces_itself,
    hosts_are_registered_before_anything_listens,
    a_deployment_is_an_operation,
    files_come_into_a_pool_that_is_not_there_yet,
    objects_and_boot_sources_refer_to_files,
    disks_are_made_by_an_operation,
    a_vm_lives_its_life,
    a_node_has_what_nobody_knows,
    everything_that_happened_is_on_record,
    the_figures_add_up,
    everything_is_taken_down_again,
)


async def test_every_operation_keeps_the_contract(
    client: CheckedClient, plane: ControlPlane, node: Node, tmp_path: Path
) -> None:
    walk = Walk(client, plane, node, tmp_path)
    for scenario in SCENARIOS:
        await scenario(walk)
    assert client.operations - client.covered == set()
