"""The stand-in's boots: the order of its checks, what a failure leaves behind, locks, descriptors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.standin_process import StandIn, Start, config, until


@pytest.fixture
def disk(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(4096))
    return {"id": "disk", "path": str(path), "image_type": "Raw"}


def boot_error(vmm: StandIn) -> list[str]:
    status, answer = vmm.put("vm.boot")
    assert status == 500
    chain: list[str] = json.loads(answer)
    assert chain[:2] == ["Error from API", "The VM could not boot"]
    return chain[2:]


MISSING = "No such file or directory (os error 2)"
NOT_BOOTABLE = ["Failed to validate config", "Payload configuration is not bootable"]


def test_an_early_failure_strips_the_list_and_the_next_boot_has_no_disks(
    start: Start, tmp_path: Path, disk: dict[str, Any]
) -> None:
    vmm = start()
    gone = {"id": "gone", "path": str(tmp_path / "gone"), "image_type": "Raw"}
    vmm.put("vm.create", config(tmp_path, disks=[disk, gone]))
    where = f"I/O error (path={tmp_path}/gone op=open)"
    assert boot_error(vmm) == ["Error from device manager", "Cannot open disk path", where, MISSING]
    assert "disks" not in vmm.info()["config"]
    assert "device_tree" not in vmm.info()
    assert vmm.put("vm.boot") == (204, "")
    until(lambda: vmm.events()[-1] == "virtio-device/activated", "the drivers")
    assert vmm.events()[:-1] == ["vmm/starting", "vm/booting", "vm/booting", "vm/booted"]


@pytest.mark.parametrize(
    ("payload", "chain"),
    [
        ({"kernel": "/nowhere"}, ["Cannot open kernel file", MISSING]),
        ({"firmware": "/nowhere"}, ["Error manipulating firmware file", MISSING]),
    ],
)
def test_a_late_failure_leaves_a_half_built_vm(
    start: Start, payload: dict[str, str], chain: list[str]
) -> None:
    vmm = start()
    vmm.put("vm.create", {"payload": payload, "console": {"mode": "Off"}})
    assert boot_error(vmm) == chain
    info = vmm.info()
    assert (info["state"], "__rng" in info["device_tree"]) == ("Created", True)
    assert boot_error(vmm) == ["VM is already created"]
    assert vmm.put("vm.shutdown") == (204, "")
    assert "device_tree" not in vmm.info()
    assert vmm.events() == ["vmm/starting", "vm/booting", "vm/shutdown"]


@pytest.mark.parametrize(
    ("changes", "chain"),
    [
        ({"payload": {}}, [*NOT_BOOTABLE, "No bootitem provided: neither firmware nor kernel"]),
        (
            {"payload": {"kernel": "/k", "firmware": "/f"}},
            [*NOT_BOOTABLE, "Specifying a kernel is not supported when a firmware is provided"],
        ),
        (
            {"memory": {"size": 1000}},
            [
                "Memory manager error",
                "Memory size is misaligned with default page size or its hugepage size",
            ],
        ),
        (
            {"memory": {"size": 1 << 28, "mergeable": True, "shared": True}},
            ["Failed to validate config", "Invalid to set both 'mergeable' and 'shared' for memory"],
        ),
        (
            {"cpus": {"boot_vcpus": 2, "max_vcpus": 1}},
            ["Failed to validate config", "Max CPUs (1) lower than boot CPUs (2)"],
        ),
        (
            {"cpus": {"boot_vcpus": 2000, "max_vcpus": 2000}},
            ["Error from CPU manager", "Maximum number of vCPUs 2000 exceeds host limit 1024"],
        ),
        (
            {"net": [{"tap": "t", "num_queues": 4}]},
            ["Failed to validate config", "Queue count (2) must not exceed boot vCPUs (1)"],
        ),
        (
            {"net": [{"tap": "t", "mtu": 1000}]},
            [
                "Failed to validate config",
                "Provided MTU 1000 is lower than 1280 (expected by VIRTIO specification)",
            ],
        ),
        (
            {"net": [{"tap": "t", "offload_csum": False}]},
            ["Failed to validate config", '"offload_tso" and "offload_ufo" depend on "offload_csum"'],
        ),
        (
            {"net": [{"id": "__x", "tap": "t"}]},
            ["Failed to validate config", "Identifier __x is not invalid"],
        ),
        (
            {"net": [{"vhost_user": True, "vhost_socket": "/s"}]},
            ["Failed to validate config", "Using vhost-user requires using shared memory or huge pages"],
        ),
        (
            {"disks": [{"id": "d"}]},
            ["Error from device manager", "No disk path was specified when one was expected"],
        ),
    ],
)
def test_what_boot_refuses(start: Start, tmp_path: Path, changes: dict[str, Any], chain: list[str]) -> None:
    vmm = start()
    assert vmm.put("vm.create", {**config(tmp_path), **changes}) == (204, "")
    assert boot_error(vmm) == chain


def test_a_missing_initramfs(start: Start, tmp_path: Path) -> None:
    vmm = start()
    body = config(tmp_path)
    body["payload"]["initramfs"] = "/nowhere"
    vmm.put("vm.create", body)
    assert boot_error(vmm) == ["Cannot open initramfs file", MISSING]


def test_a_qcow2_image_declared_raw(start: Start, tmp_path: Path, disk: dict[str, Any]) -> None:
    Path(disk["path"]).write_bytes(b"QFI\xfb" + bytes(4092))
    vmm = start()
    vmm.put("vm.create", config(tmp_path, disks=[disk]))
    mismatch = "Disk image type does not match expected type: specified = raw, detected = qcow2"
    assert boot_error(vmm) == ["Error from device manager", mismatch]


def test_disks_are_locked_against_other_processes(start: Start, tmp_path: Path, disk: dict[str, Any]) -> None:
    first, second = start(), start()
    body = config(tmp_path, disks=[disk])
    assert first.put("vm.create", body) == second.put("vm.create", body) == (204, "")
    assert first.put("vm.boot") == (204, "")
    locked = [
        "Error locking disk images: Another instance likely holds a lock",
        "Cannot lock images of all block devices",
        f"Failed to get Write lock for disk image: {disk['path']}",
        "The file is already locked",
    ]
    assert boot_error(second) == locked
    assert second.info()["device_tree"]
    first.close()
    assert second.put("vm.delete") == (204, "")
    assert second.put("vm.create", body) == (204, "")
    until(lambda: second.put("vm.boot") == (204, ""), "the lock")


def test_readers_share_a_disk(start: Start, tmp_path: Path, disk: dict[str, Any]) -> None:
    body = config(tmp_path, disks=[{**disk, "readonly": True}])
    for _ in range(2):
        vmm = start()
        vmm.put("vm.create", body)
        assert vmm.put("vm.boot") == (204, "")


def test_a_failed_create_keeps_its_config(start: Start, tmp_path: Path) -> None:
    vmm = start()
    body = config(tmp_path, serial={"mode": "File", "file": "/nowhere/serial"})
    status, answer = vmm.put("vm.create", body)
    chain = ["Error creating console devices", "Error creating console device", MISSING]
    assert (status, json.loads(answer)) == (500, ["Error from API", "The VM could not be created", *chain])
    assert vmm.info()["state"] == "Created"
    assert vmm.put("vm.create", body)[0] == 500
    assert vmm.put("vm.delete") == (204, "")
    assert vmm.put("vm.create", config(tmp_path)) == (204, "")


def test_a_passed_descriptor_belongs_to_the_interface(start: Start, tmp_path: Path) -> None:
    vmm = start()
    vmm.put("vm.create", config(tmp_path, net=[{"id": "lost", "tap": "t", "fds": [7]}]))
    assert "fds" not in vmm.info()["config"]["net"][0]
    vmm.put("vm.remove-device", {"id": "lost"})
    reader, writer = os.pipe()
    assert vmm.request("PUT", "vm.add-net", {"id": "net0"}, (writer,)) == (204, "")
    os.close(writer)
    assert len(vmm.info()["config"]["net"][-1]["fds"]) == 1
    assert vmm.put("vm.boot") == (204, "")
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    vmm.close()
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)
