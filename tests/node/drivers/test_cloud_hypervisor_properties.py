"""Whatever the preflight lets through fits Cloud Hypervisor's API description and passes its own checks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator

from qarax_node.drivers.base import DiskSpec, DriverError, MachineSpec, NetworkSpec
from qarax_node.drivers.cloud_hypervisor import preflight, spec
from qarax_node.drivers.cloud_hypervisor.probe import Installation
from tests.fakes.cloud_hypervisor import schema
from tests.fakes.cloud_hypervisor.checks import validate
from tests.fakes.cloud_hypervisor.structs import read_document
from tests.node.drivers.test_cloud_hypervisor_requests import description

USABLE = Installation("/usr/bin/cloud-hypervisor", "v53.0", chosen=True)
API = description()
MIB = 1 << 20
FLAGS = st.booleans()
MACS = st.binary(min_size=5, max_size=5).map(lambda tail: ":".join(f"{byte:02x}" for byte in b"\2" + tail))
BUCKETS = st.fixed_dictionaries(
    {"size": st.integers(0, 2**63 - 1), "refill_time": st.integers(0, 2**63 - 1)},
    optional={"one_time_burst": st.integers(0, 2**63 - 1)},
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def network(place: int) -> st.SearchStrategy[NetworkSpec]:
    """Mostly sound; what is not is refused."""
    return st.sampled_from(
        [(None, None, None), (False, False, False), (True, False, None), (None, None, False)]
    ).flatmap(
        lambda offloads: st.builds(
            NetworkSpec,
            id=st.just(f"net-{place}"),
            interface_type=st.sampled_from(["tap", "macvtap", "vhost_user"]),
            tap=st.sampled_from(["", "tap0"]),
            mac=MACS,
            host_mac=st.just("") | MACS,
            mtu=maybe(st.integers(1280, 65535)),
            num_queues=maybe(st.sampled_from([2, 4, 8])),
            queue_size=maybe(st.sampled_from([1, 128, 256, 32768])),
            vhost_socket=st.just("/run/vhost-user/a"),
            vhost_mode=st.sampled_from(["", "client", "server", "Server"]),
            iommu=FLAGS,
            offload_csum=st.just(offloads[0]),
            offload_tso=st.just(offloads[1]),
            offload_ufo=st.just(offloads[2]),
            pci_segment=maybe(st.integers(0, 95)),
            rate_limiter=maybe(st.fixed_dictionaries({}, optional={"bandwidth": BUCKETS, "ops": BUCKETS})),
        ).map(with_descriptors)
    )


def with_descriptors(network: NetworkSpec) -> NetworkSpec:
    """One per queue pair, as the node opens them."""
    pairs = max(1, (network.num_queues or 2) // 2)
    return dataclasses.replace(network, macvtap_fds=tuple(range(7, 7 + pairs)))


def disk(place: int) -> st.SearchStrategy[DiskSpec]:
    kinds = st.sampled_from(["raw", "qcow2"])
    return st.builds(DiskSpec, st.just(f"disk-{place}"), st.just(Path(f"/pool/{place}")), FLAGS, kinds)


def machine(vcpus: int) -> st.SearchStrategy[MachineSpec]:
    topology = {"threads_per_core": 1, "cores_per_die": vcpus, "dies_per_package": 1, "packages": 1}
    return st.builds(
        MachineSpec,
        vm_id=st.uuids().map(str),
        name=st.text(max_size=8),
        directory=st.just(Path("/vms/x")),
        boot_vcpus=st.integers(max(1, vcpus - 2), vcpus),
        max_vcpus=st.just(vcpus),
        memory_size=st.sampled_from([256 * MIB, 1 << 30, 1000 * MIB + 4096]),
        kernel=st.just(Path("/pool/vmlinux")),
        cmdline=st.text(max_size=60),
        initrd=maybe(st.just(Path("/pool/initrd"))),
        cpu_topology=maybe(st.just(topology)),
        kvm_hyperv=FLAGS,
        memory_hotplug_size=maybe(st.sampled_from([128 * MIB, 1 << 30])),
        memory_hugepages=FLAGS,
        memory_hugepage_size=maybe(st.sampled_from([2 * MIB, 1 << 30])),
        memory_mergeable=FLAGS,
        memory_prefault=FLAGS,
        memory_shared=FLAGS,
        memory_thp=FLAGS,
        disks=st.sampled_from([(), (0,), (0, 1)]).flatmap(lambda places: st.tuples(*map(disk, places))),
        networks=st.sampled_from([(), (0,), (0, 1)]).flatmap(lambda places: st.tuples(*map(network, places))),
    )


def fits(body: Any, name: str) -> None:
    schema_of = {"$ref": f"#/components/schemas/{name}", "components": API["components"]}
    OAS30Validator(schema_of).validate(body)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(wanted=st.integers(1, 16).flatmap(machine))
def test_what_the_preflight_admits_the_hypervisor_admits(wanted: MachineSpec) -> None:
    assume(is_admitted(wanted))
    fits(spec.vm_config(wanted, landlock=True), "VmConfig")
    text = json.dumps(spec.vm_config(wanted)).encode()
    understood = read_document(schema.VM, text)
    for added, fds in spec.added_nets(wanted):
        fits(added, "NetConfig")
        entry = read_document(schema.NET, json.dumps(added).encode())
        entry["fds"] = list(fds)
        understood["net"] = [*(understood["net"] or []), entry]
    validate(understood)


def is_admitted(wanted: MachineSpec) -> bool:
    try:
        preflight.check(wanted, USABLE, landlock=False)
    except DriverError:
        return False
    return True
