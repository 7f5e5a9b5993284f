"""Bodies and answers of VMs."""

from __future__ import annotations

import math
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from qarax_server.api.schemas.base import Answer, Body
from qarax_server.api.schemas.fields import (
    DRIVERS,
    Bytes,
    Choice,
    Flag,
    FreeObject,
    Id,
    Name,
    Text,
    Time,
    Whole,
    power_of_two,
)
from qarax_server.api.schemas.hosts import HOST_ID
from qarax_server.api.schemas.networks import NewVmNetwork, networks_field
from qarax_server.api.schemas.operations import RunningOperation
from qarax_server.api.schemas.storage import BOOT_SOURCE_ID

HYPERVISORS = ("cloud_hv",)
IMAGE_TYPES = ("raw", "qcow2")
VM_STATUSES = ("unknown", "created", "running", "paused", "shutdown")
VM_ID = "a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
DISK_ID = "04ecf516-7f80-4192-9da4-b5c6d7e8f90a"
MOST_VCPUS = 1024
MEBIBYTE = 2**20


class CpuTopology(Body):
    """What the guest is told of sockets, dies, cores and threads; their product is max_vcpus."""

    threads_per_core = Whole(1, 255, required=True, metadata={"example": 1})
    cores_per_die = Whole(1, 255, required=True, metadata={"example": 2})
    dies_per_package = Whole(1, 255, required=True, metadata={"example": 1})
    packages = Whole(1, 255, required=True, metadata={"example": 1})


class NewVmDisk(Body):
    """A storage object as a disk."""

    storage_object_id = Id(required=True, metadata={"example": DISK_ID})
    readonly = Flag(load_default=False, metadata={"example": False})
    image_type = Choice(*IMAGE_TYPES, load_default="raw", metadata={"example": "raw"})


def distinct_objects(disks: list[dict[str, Any]]) -> None:
    """Refuse one object as two disks."""
    ids = [disk["storage_object_id"] for disk in disks]
    if len(set(ids)) < len(ids):
        raise ValidationError("An object can be one disk of a VM only.")


def _disks(**options: Any) -> fields.List[Any]:
    inner = fields.Nested(NewVmDisk)
    return fields.List(inner, validate=[validate.Length(max=16), distinct_objects], **options)


class NewVm(Body):
    """A VM to be placed on a host and prepared there."""

    name = Name(required=True, metadata={"example": "web-1"})
    hypervisor = Choice(*HYPERVISORS, required=True, metadata={"example": "cloud_hv"})
    boot_vcpus = Whole(1, MOST_VCPUS, required=True, metadata={"example": 1})
    max_vcpus = Whole(1, MOST_VCPUS, required=True, metadata={"example": 2})
    memory_size = Bytes(MEBIBYTE, required=True, metadata={"example": 268435456})
    boot_source_id = Id(
        load_default=None, metadata={"example": BOOT_SOURCE_ID, "description": "Without it: vm_defaults."}
    )
    description = Text(load_default=None, multiline=True, metadata={"example": "the first web server"})
    networks = networks_field(load_default=list, metadata={"example": []})
    config = FreeObject(load_default=None, metadata={"example": {}})
    cpu_topology = fields.Nested(CpuTopology, load_default=None, metadata={"example": None})
    kvm_hyperv = Flag(load_default=False, metadata={"example": False})
    memory_hotplug_size = Bytes(load_default=None)
    memory_hugepages = Flag(load_default=False, metadata={"example": False})
    memory_hugepage_size = Bytes(4096, validate=power_of_two, load_default=None)
    memory_mergeable = Flag(load_default=False, metadata={"example": False})
    memory_prefault = Flag(load_default=False, metadata={"example": False})
    memory_shared = Flag(load_default=False, metadata={"example": False})
    memory_thp = Flag(load_default=True, metadata={"example": True})
    driver = Choice(*DRIVERS, load_default=None, metadata={"description": "Limits placement to it."})
    disks = _disks(load_default=list, metadata={"example": []})
    autostart = Flag(
        load_default=False, metadata={"example": False, "description": "Start it after a reboot of its host."}
    )
    protected = Flag(load_default=False, metadata={"example": False, "description": "Refuse its deletion."})
    stop_grace_seconds = Whole(
        0, 3600, load_default=None, metadata={"example": 30, "description": "What a stop waits before force."}
    )

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """The rules between fields."""
        check_sizes(data)


class UpdateVmRequest(Body):
    """What changes of a VM; what is left out stays. Below `protected`: only while it is not running."""

    name = Name(metadata={"example": "web-1"})
    description = Text(multiline=True, metadata={"example": "the first web server"})
    stop_grace_seconds = Whole(0, 3600, metadata={"example": 60})
    autostart = Flag(metadata={"example": True})
    protected = Flag(metadata={"example": True})
    boot_vcpus = Whole(1, MOST_VCPUS)
    max_vcpus = Whole(1, MOST_VCPUS)
    cpu_topology = fields.Nested(CpuTopology, metadata={"example": None})
    memory_size = Bytes(MEBIBYTE)
    boot_source_id = Id()
    disks = _disks(metadata={"example": None})
    networks = networks_field(metadata={"example": None})

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """At least one field, and the rules between those that are there."""
        if not data:
            raise ValidationError("Name at least one field to change.")
        check_sizes(data)


class VmDisk(Answer):
    """A disk of a VM."""

    storage_object_id = Id(metadata={"example": DISK_ID})
    readonly = Flag(metadata={"example": False})
    image_type = Choice(*IMAGE_TYPES, metadata={"example": "raw"})


class VmNetwork(NewVmNetwork):
    """An interface of a VM: every field is there, null when empty."""

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Every field is there."""
        super().on_bind_field(field_name, field_obj)
        field_obj.required = True


class Vm(Answer):
    """A VM."""

    id = Id(metadata={"example": VM_ID})
    name = Name(metadata={"example": "web-1"})
    description = fields.String(allow_none=True, metadata={"example": "the first web server"})
    status = Choice(*VM_STATUSES, metadata={"example": "running"})
    status_reason = fields.String(allow_none=True)
    hypervisor = Choice(*HYPERVISORS, metadata={"example": "cloud_hv"})
    driver = Choice(*DRIVERS, allow_none=True, metadata={"example": "qemu"})
    host_id = Id(metadata={"example": HOST_ID})
    boot_vcpus = Whole(1, MOST_VCPUS, metadata={"example": 1})
    max_vcpus = Whole(1, MOST_VCPUS, metadata={"example": 2})
    cpu_topology = fields.Nested(CpuTopology, allow_none=True, metadata={"example": None})
    kvm_hyperv = Flag(metadata={"example": False})
    memory_size = Bytes(metadata={"example": 268435456})
    memory_hotplug_size = Bytes(allow_none=True)
    memory_hugepages = Flag(metadata={"example": False})
    memory_hugepage_size = Bytes(allow_none=True)
    memory_mergeable = Flag(metadata={"example": False})
    memory_prefault = Flag(metadata={"example": False})
    memory_shared = Flag(metadata={"example": False})
    memory_thp = Flag(metadata={"example": True})
    boot_source_id = Id(allow_none=True, metadata={"example": BOOT_SOURCE_ID})
    networks = fields.List(fields.Nested(VmNetwork), metadata={"example": []})
    disks = fields.List(fields.Nested(VmDisk))
    config = FreeObject(allow_none=True, metadata={"example": {}})
    autostart = Flag(metadata={"example": False})
    protected = Flag(metadata={"example": False})
    stop_grace_seconds = Whole(0, 3600, allow_none=True, metadata={"example": 30})
    started_at = Time(allow_none=True)
    created_at = Time()
    updated_at = Time()
    operation = fields.Nested(RunningOperation, allow_none=True, metadata={"example": None})


class VmMetrics(Answer):
    """Counters of a VM since it started, by device; the VMM's own CPU and memory under `vmm`."""

    vm_id = Id(metadata={"example": VM_ID})
    status = Choice(*VM_STATUSES, metadata={"example": "running"})
    counters = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.Integer(metadata={"format": "uint64"})),
        metadata={"example": {"disk0": {"read_bytes": 1048576}, "vmm": {"cpu_milliseconds": 1520}}},
    )
    memory_actual_size = fields.Integer(allow_none=True, metadata={"example": 268435456, "format": "uint64"})


class PlacementRule(Answer):
    """One rule applied to one host."""

    rule = fields.String(metadata={"example": "memory"})
    passed = Flag(metadata={"example": True})
    needed = fields.Raw(allow_none=True, metadata={"example": 268435456})
    available = fields.Raw(allow_none=True, metadata={"example": 16240345088})
    message = fields.String(metadata={"example": "256 MiB of 15.1 GiB free"})


class PlacementHost(Answer):
    """What all rules said of one host."""

    host_id = Id(metadata={"example": HOST_ID})
    host_name = Name(metadata={"example": "host-1"})
    fits = Flag(metadata={"example": True})
    driver = Choice(*DRIVERS, allow_none=True, metadata={"example": "qemu"})
    score = fields.Float(allow_none=True, metadata={"example": 0.97})
    rules = fields.List(fields.Nested(PlacementRule))


class Placement(Answer):
    """Why this host: the rules and the numbers. Of a long table, the chosen host and examples."""

    vm_id = Id(allow_none=True, metadata={"example": VM_ID})
    decided_at = Time()
    host_id = Id(allow_none=True, metadata={"example": HOST_ID})
    driver = Choice(*DRIVERS, allow_none=True, metadata={"example": "qemu"})
    message = fields.String(metadata={"example": "host-1: most free memory of 1 host that fits"})
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={
            "example": {"fits": 1},
            "description": "How many hosts fit, and how many each rule was the first to refuse.",
        },
    )
    hosts = fields.List(fields.Nested(PlacementHost))


def check_sizes(data: dict[str, Any]) -> None:
    """`boot_vcpus <= max_vcpus`, and a topology that amounts to max_vcpus."""
    boot, most = data.get("boot_vcpus"), data.get("max_vcpus")
    if boot is not None and most is not None and boot > most:
        raise ValidationError(f"At most max_vcpus, which is {most}.", "boot_vcpus")
    topology = data.get("cpu_topology")
    if topology and most is not None and (product := math.prod(topology.values())) != most:
        raise ValidationError(f"Amounts to {product} vCPUs, max_vcpus is {most}.", "cpu_topology")
