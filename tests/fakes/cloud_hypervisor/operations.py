"""The rarer endpoints, as far as their checks go: resizing, snapshots, migration."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor import errors, schema
from tests.fakes.cloud_hypervisor.backends import MANAGER
from tests.fakes.cloud_hypervisor.consoles import open_outputs
from tests.fakes.cloud_hypervisor.errors import VmError, os_error
from tests.fakes.cloud_hypervisor.jsonreader import SerdeError
from tests.fakes.cloud_hypervisor.knobs import Knobs, of_machine
from tests.fakes.cloud_hypervisor.structs import read_document

if TYPE_CHECKING:
    from tests.fakes.cloud_hypervisor.vmm import Vmm

SECTOR = 512
DIMM = 128 << 20
SEND_ERROR = "Failed to send migratable component snapshot"


def knobs_of(vmm: Vmm) -> Knobs:
    """The faults that hold before there is a VM object."""
    payload = (vmm.config or {}).get("payload") or {}
    return of_machine(payload.get("cmdline") or "")


def resize(vmm: Vmm, body: dict[str, Any]) -> None:
    """vCPUs, then memory, then balloon; what was done stays done when a later part fails."""
    if vmm.config is None:
        raise VmError(errors.NOT_CREATED)
    if vmm.vm:
        vmm.events.emit("vm", "resizing")
    config = vmm.config
    vcpus, memory, balloon = body["desired_vcpus"], body["desired_ram"], body["desired_balloon"]
    if vcpus is not None:
        if vmm.vm:
            _check_vcpus(vcpus, config["cpus"]["max_vcpus"])
        config["cpus"]["boot_vcpus"] = vcpus
    if memory is not None:
        if vmm.vm:
            _check_memory(memory, config["memory"])
        config["memory"]["size"] = memory
    if balloon is not None:
        _resize_balloon(config, balloon, booted=vmm.vm is not None)
    if vmm.vm:
        vmm.events.emit("vm", "resized")


def _resize_balloon(config: dict[str, Any], size: int, *, booted: bool) -> None:
    if config["balloon"]:
        config["balloon"]["size"] = size
    elif booted:
        raise VmError(MANAGER, "Missing virtio-balloon, can't proceed as expected")


def _check_vcpus(wanted: int, most: int) -> None:
    if wanted == 0:
        raise VmError("Error from CPU manager", "Requested zero vCPUs")
    if wanted > most:
        raise VmError("Error from CPU manager", "Requested vCPUs exceed maximum")


def _check_memory(wanted: int, memory: dict[str, Any]) -> None:
    title = "Memory manager error"
    if memory["zones"]:
        sentence = "Impossible to resize guest memory if it is backed by user defined memory regions"
        raise VmError(title, sentence)
    growth = wanted - memory["size"]
    if growth > (memory["hotplug_size"] or 0):
        raise VmError(title, "Not enough space in the hotplug RAM region")
    if growth > 0 and growth % DIMM:
        raise VmError(title, "The requested hotplug memory addition is not a valid size")


def resize_disk(vmm: Vmm, body: dict[str, Any]) -> None:
    if vmm.config is None:
        raise VmError(errors.NOT_CREATED)
    if vmm.vm is None:
        raise VmError("Failed resizing a disk image")
    disk = vmm.vm.disks.get(body["id"])
    if disk is None:
        raise VmError(MANAGER, f"Failed to find device corresponding to the given identifier: {body['id']}")
    if body["desired_size"] % SECTOR:
        raise VmError(MANAGER, "Disk resize error", "Disk image size is not a multiple of 512")
    os.ftruncate(disk.descriptor, body["desired_size"])


def resize_zone(vmm: Vmm, body: dict[str, Any]) -> None:
    if vmm.config is None:
        raise VmError(errors.NOT_CREATED)
    for zone in vmm.config["memory"]["zones"] or []:
        if zone["id"] == body["id"]:
            zone["size"] = body["desired_ram"]
            return
    raise VmError("Failed resizing a memory zone")


def snapshot(vmm: Vmm, body: dict[str, Any]) -> None:
    """Write config, state and an empty memory file; only of a paused VM, into an empty directory."""
    vm = vmm.running()
    vmm.events.emit("vm", "snapshotting")
    if vm.state != "Paused":
        raise VmError(
            "Cannot snapshot VM",
            "Failed to snapshot migratable component",
            "Trying to snapshot while VM is running",
        )
    vmm.events.emit("vm", "snapshotted")
    directory = _directory(body["destination_url"], "Cannot send VM snapshot")
    files = {"config.json": json.dumps(schema.VM.dump(vm.config)), "state.json": "{}", "memory-ranges": ""}
    for name, text in files.items():
        try:
            descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise VmError("Cannot send VM snapshot", SEND_ERROR, os_error(error)) from None
        with os.fdopen(descriptor, "w") as file:
            file.write(text)


def _directory(url: str, title: str) -> str:
    path = url.removeprefix("file://")
    if not os.path.isdir(path):
        raise VmError(title, SEND_ERROR, f'Destination is not a directory: "{path}"')
    return path


def restore(vmm: Vmm, body: dict[str, Any]) -> None:
    """Boot again from a snapshot's config; paused unless asked to resume."""
    if vmm.config is not None:
        raise VmError(errors.ALREADY_CREATED)
    vmm.events.emit("vm", "restoring")
    directory = _directory(body["source_url"], "Cannot restore VM")
    try:
        with open(f"{directory}/config.json", "rb") as file:
            vmm.config = read_document(schema.VM, file.read())
    except (OSError, SerdeError) as error:
        cause = os_error(error) if isinstance(error, OSError) else str(error)
        raise VmError("Cannot restore VM", SEND_ERROR, cause) from None
    try:
        vmm.outputs = open_outputs(vmm.config)
        vmm._boot(vmm.outputs)
    except VmError:
        vmm.delete()
        raise
    vmm.running().transition("Paused")
    vmm.events.emit("vm", "restored")
    if body["resume"]:
        vmm.resume()


def send_migration(vmm: Vmm, _body: dict[str, Any]) -> None:
    """Not played any further than its check."""
    if vmm.vm is None:
        raise VmError(SEND_ERROR, errors.NOT_RUNNING)
    raise VmError(SEND_ERROR, "this stand-in does not migrate")


def receive_migration(vmm: Vmm, _body: dict[str, Any]) -> None:
    """Not played any further than its check."""
    title = "Failed to receive migratable component snapshot"
    if vmm.vm is not None:
        raise VmError(title, "Can't receive a migration when a VM is already created")
    raise VmError(title, "this stand-in does not migrate")
