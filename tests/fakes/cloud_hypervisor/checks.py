"""What vm.boot validates between the fields of a config; each failure is one of v53.0's own sentences."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor.errors import VmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Problems = Iterator[str | tuple[str, ...]]

MOST_CPUS = 8192
MOST_QUEUE_SIZE = 32768
SERIAL_LENGTH = 20
SMALLEST_MTU = 1280
LAST_STANDARD_FD = 2
SPECIAL_CIDS = (0, 1, 2, 0xFFFFFFFF)
DEVICE_LISTS = ("disks", "net", "generic_vhost_user", "fs", "pmem", "vdpa", "devices", "user_devices")

Config = dict[str, Any]


def validate(config: Config) -> None:
    """Raise VmError with `Failed to validate config` and what is wrong first."""
    for check in (_payload, _cpus, _memory, _balloon, _disks, _nets, _ids, _platform, _pci, _landlock):
        for problem in check(config):
            chain = (problem,) if isinstance(problem, str) else problem
            raise VmError("Failed to validate config", *chain)


def _payload(config: Config) -> Problems:
    payload = config["payload"] or {}
    title = "Payload configuration is not bootable"
    if not payload.get("kernel") and not payload.get("firmware"):
        yield title, "No bootitem provided: neither firmware nor kernel"
    if payload.get("kernel") and payload.get("firmware"):
        yield title, "Specifying a kernel is not supported when a firmware is provided"


def _cpus(config: Config) -> Problems:
    cpus = config["cpus"]
    boot, most, topology = cpus["boot_vcpus"], cpus["max_vcpus"], cpus["topology"]
    if most < boot:
        yield f"Max CPUs ({most}) lower than boot CPUs ({boot})"
    if most > MOST_CPUS:
        yield f"Too many CPUs: specified {most} but {MOST_CPUS} is the limit"
    if topology is None:
        return
    if 0 in topology.values():
        yield "No part of the CPU topology can be zero"
    if topology["threads_per_core"] > 2:
        yield "CPU topology supports at most 2 threads per core"
    product = 1
    for part in topology.values():
        product *= part
    if product != most:
        yield "Product of CPU topology parts does not match maximum vCPU"


def _memory(config: Config) -> Problems:
    memory = config["memory"]
    size = memory["hugepage_size"]
    if size is not None and not memory["hugepages"]:
        yield "Huge page size specified but huge pages not enabled"
    if size is not None and size & (size - 1):
        yield f"Huge page size is not power of 2: {size}"
    if memory["mergeable"] and memory["shared"]:
        yield "Invalid to set both 'mergeable' and 'shared' for memory"


def _balloon(config: Config) -> Problems:
    balloon, size = config["balloon"], config["memory"]["size"]
    if balloon and balloon["size"] >= size:
        yield f"Balloon size ({balloon['size']}) greater than RAM ({size})"


def _shared(config: Config) -> bool:
    memory = config["memory"]
    return bool(memory["shared"] or memory["hugepages"])


def _disks(config: Config) -> Problems:
    boot = config["cpus"]["boot_vcpus"]
    groups = {group["id"] for group in config["rate_limit_groups"] or []}
    for disk in config["disks"] or []:
        yield from _vhost_disk(config, disk)
        if disk["rate_limit_group"] is not None and disk["rate_limit_group"] not in groups:
            yield "Invalid rate-limiter group"
        if disk["num_queues"] > boot:
            yield f"Queue count ({disk['num_queues']}) must not exceed boot vCPUs ({boot})"
        yield from _queue_size(disk["queue_size"])
        if disk["queue_size"] <= 2:
            yield f"Block queue size must be greater than 2: {disk['queue_size']}"
        if disk["serial"] is not None and len(disk["serial"]) > SERIAL_LENGTH:
            length = len(disk["serial"])
            yield f"Block device serial length ({length}) exceeds maximum allowed length ({SERIAL_LENGTH})"


def _vhost_disk(config: Config, disk: Config) -> Problems:
    if disk["path"] is not None and disk["vhost_socket"] is not None:
        yield "Disk path and vhost socket both provided"
    if not disk["vhost_user"]:
        return
    if not _shared(config):
        yield "Using vhost-user requires using shared memory or huge pages"
    if disk["vhost_socket"] is None:
        yield "No socket provided when using vhost-user"
    if disk["rate_limiter_config"] is not None:
        yield "Rate limiting is not supported with vhost-user"
    if disk["iommu"]:
        yield "Device does not support being placed behind IOMMU"


def _queue_size(size: int) -> Problems:
    if size == 0 or size > MOST_QUEUE_SIZE or size & (size - 1):
        yield f"Queue size must be a power of 2 no greater than {MOST_QUEUE_SIZE}: {size}"


def _nets(config: Config) -> Problems:
    boot = config["cpus"]["boot_vcpus"]
    for net in config["net"] or []:
        queues = net["num_queues"]
        if queues < 2:
            yield f"Number of queues ({queues}) to virtio_net should be higher than 2"
        for descriptor in net["fds"] or []:
            if descriptor <= LAST_STANDARD_FD:
                yield f"Reserved fd number (<= {LAST_STANDARD_FD}): {descriptor}"
        if net["fds"] is not None and queues != 2 * len(net["fds"]):
            count = 2 * len(net["fds"])
            yield f"Number of queues ({queues}) to virtio_net does not match the number of FDs ({count})"
        if net["vhost_user"] and not _shared(config):
            yield "Using vhost-user requires using shared memory or huge pages"
        if net["vhost_user"] and net["vhost_socket"] is None:
            yield "No socket provided when using vhost-user"
        if queues // 2 > boot:
            yield f"Queue count ({queues // 2}) must not exceed boot vCPUs ({boot})"
        yield from _queue_size(net["queue_size"])
        yield from _net_details(net)


def _net_details(net: Config) -> Problems:
    mtu = net["mtu"]
    if mtu is not None and mtu < SMALLEST_MTU:
        yield f"Provided MTU {mtu} is lower than {SMALLEST_MTU} (expected by VIRTIO specification)"
    if not net["offload_csum"] and (net["offload_tso"] or net["offload_ufo"]):
        yield '"offload_tso" and "offload_ufo" depend on "offload_csum"'
    if net["mask"] is not None and net["ip"] is None:
        yield "Mask provided without an IP"
    if net["ip"] is not None and net["mask"] is None:
        yield "IP provided without a mask"


def devices_of(config: Config) -> list[Config]:
    """Every PCI device object of a config."""
    devices = [device for kind in DEVICE_LISTS for device in config[kind] or []]
    return devices + [config[kind] for kind in ("rng", "console", "balloon", "vsock", "rtc") if config[kind]]


def _ids(config: Config) -> Problems:
    seen: set[str] = set()
    others = [*(config["rate_limit_groups"] or []), *(config["memory"]["zones"] or [])]
    for device in devices_of(config) + others:
        name = device["id"]
        if name is None:
            continue
        if name.startswith("__"):
            yield f"Identifier {name} is not invalid"
        if name in seen:
            yield f"Identifier {name} is not unique"
        seen.add(name)
    paths: set[str] = set()
    for device in [*(config["devices"] or []), *(config["vdpa"] or [])]:
        if device["path"] in paths:
            yield f"Duplicated device path: {device['path']}"
        paths.add(device["path"])


def _platform(config: Config) -> Problems:
    platform = config["platform"]
    if platform is None:
        return
    segments, width = platform["num_pci_segments"], platform["iommu_address_width_bits"]
    if not 1 <= segments <= 96:
        yield f"Number of PCI segments ({segments}) not in range of 1 to 96"
    if width > 64:
        yield f"IOMMU address width in bits ({width}) should be less than or equal to 64"
    for segment in platform["iommu_segments"] or []:
        if segment >= segments:
            yield f"Invalid PCI segment id: {segment}"


def _pci(config: Config) -> Problems:
    platform = config["platform"] or {"num_pci_segments": 1, "iommu_segments": None}
    for device in devices_of(config):
        segment, slot = device["pci_segment"], device["pci_device_id"]
        if segment >= platform["num_pci_segments"]:
            yield f"Invalid PCI segment id: {segment}"
        if segment in (platform["iommu_segments"] or []) and not device.get("iommu"):
            yield f"Device is on an IOMMU PCI segment ({segment}) but not placed behind IOMMU"
        if slot == 0:
            yield "Given PCI device ID (0) is reserved"
        if slot is not None and slot >= 32:
            yield f"Given PCI device ID ({slot}) is out of the supported range of 0..32"
    vsock = config["vsock"]
    if vsock and vsock["cid"] in SPECIAL_CIDS:
        yield f"{vsock['cid']} is a special VSOCK CID"
    if config["user_devices"] and not _shared(config):
        yield "Using user devices requires using shared memory or huge pages"


def _landlock(config: Config) -> Problems:
    for rule in config["landlock_rules"] or []:
        if not os.path.exists(rule["path"]):
            path = rule["path"]
            yield f'Path "{path}" provided in landlock-rules does not exist'
        if not rule["access"] or set(rule["access"]) - set("rw"):
            yield f"Invalid landlock access: {rule['access']}"
