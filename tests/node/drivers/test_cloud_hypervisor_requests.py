"""Every request to Cloud Hypervisor fits its own API description of v53.0."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator

from qarax_node.drivers.base import DiskSpec, MachineSpec, NetworkSpec
from qarax_node.drivers.cloud_hypervisor import spec
from qarax_node.keeper_client import KeeperClient
from tests.node.drivers.harness import Case, Vm
from tests.node.keeping import KeeperProcess, kill_vmms

GIB = 1 << 30
DESCRIPTION = Path(__file__).parents[2] / "fakes" / "cloud_hypervisor" / "openapi-v53.0.yaml"
TOPOLOGY = {"threads_per_core": 2, "cores_per_die": 2, "dies_per_package": 1, "packages": 1}
BASE = MachineSpec(
    vm_id="6f1c1a52-7a3e-4b0e-8d15-0f6c1f1f1f1f",
    name="requests",
    directory=Path("/nowhere"),
    boot_vcpus=2,
    max_vcpus=4,
    memory_size=GIB,
    kernel=Path("/k"),
    cmdline="console=ttyS0",
)
TAP = NetworkSpec(id="net0", interface_type="tap", tap="tap0", mac="52:54:00:00:00:01")
VHOST = NetworkSpec(id="net0", interface_type="vhost_user", vhost_socket="/v.sock", mac="52:54:00:00:00:02")


@pytest.fixture
async def recorded(tmp_path: Path, cloud_hypervisor_case: Case) -> AsyncIterator[Vm]:
    """A VM whose hypervisor writes down every request."""
    runtime_dir = tmp_path / "vms"
    runtime_dir.mkdir(mode=0o700)
    keeper_process = KeeperProcess(runtime_dir)
    keeper_process.start(CLOUD_HYPERVISOR_STAND_IN="assume-taps record=requests.jsonl")
    keeper = KeeperClient(keeper_process.socket)
    await keeper.connect()
    limiter = {"bandwidth": {"size": 1, "refill_time": 1}}
    networks = (dataclasses.replace(TAP, rate_limiter=limiter, mtu=1500),)
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    disks = (DiskSpec("root", disk, readonly=False, image_type="raw"),)
    made = cloud_hypervisor_case.spec(runtime_dir, networks=networks, disks=disks)
    vm = Vm(cloud_hypervisor_case, keeper, made)
    yield vm
    await vm.close()
    await keeper.close()
    keeper_process.kill()
    kill_vmms(runtime_dir)


def description() -> Any:
    """The API description, closed: what it does not name is an error."""
    whole = yaml.safe_load(DESCRIPTION.read_text())
    for schema in whole["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return whole


async def test_every_request_fits_the_api_description(recorded: Vm) -> None:
    vm = recorded
    await vm.boot()
    await vm.driver.pause(vm.spec)
    await vm.driver.resume(vm.spec)
    assert await vm.driver.counters(vm.spec)
    await vm.driver.reboot(vm.spec)
    await vm.driver.power_button(vm.spec)
    await vm.exit()
    whole = description()
    lines = (vm.spec.directory / "requests.jsonl").read_text().splitlines()
    requests = [json.loads(line) for line in lines]
    assert {request["endpoint"] for request in requests} >= {
        "vmm.ping", "vm.create", "vm.boot", "vm.info", "vm.pause", "vm.resume", "vm.counters", "vm.reboot",
        "vm.power-button", "vmm.shutdown",
    }  # fmt: skip
    for request in requests:
        operation = whole["paths"][f"/{request['endpoint']}"][request["method"].lower()]
        wanted = operation.get("requestBody")
        assert (request["body"] is None) == (wanted is None), request
        if wanted is not None:
            schema = {**wanted["content"]["application/json"]["schema"], "components": whole["components"]}
            OAS30Validator(schema).validate(json.loads(request["body"]))


def test_the_largest_body_fits_the_api_description(tmp_path: Path) -> None:
    networks = (
        dataclasses.replace(TAP, mtu=1500, num_queues=2, queue_size=256, host_mac="52:54:00:00:00:02"),
        dataclasses.replace(VHOST, id="net1", vhost_mode="client", iommu=True, pci_segment=1),
    )
    machine = dataclasses.replace(
        BASE, directory=tmp_path, networks=networks, memory_shared=True, cpu_topology=TOPOLOGY,
        memory_hotplug_size=GIB, initrd=Path("/i"),
        disks=(DiskSpec("d", Path("/d"), readonly=False, image_type="raw"),),
    )  # fmt: skip
    whole = description()
    schema = {"$ref": "#/components/schemas/VmConfig", "components": whole["components"]}
    OAS30Validator(schema).validate(spec.vm_config(machine, landlock=True))
    passed = dataclasses.replace(TAP, interface_type="macvtap", macvtap_fds=(7,))
    ((body, _),) = spec.added_nets(dataclasses.replace(BASE, networks=(passed,)))
    schema = {"$ref": "#/components/schemas/NetConfig", "components": whole["components"]}
    OAS30Validator(schema).validate(body)
