"""The stand-in and its host: confined by Landlock, joined to vhost-user backends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fakes.standin_process import BANNER, StandIn, Start, config, read_until, until
from tests.fakes.vhost_user_backend import GET_FEATURES, SET_OWNER, VhostUserBackend

MISSING = "No such file or directory (os error 2)"


def confined(vmm: StandIn, tmp_path: Path, **more: Any) -> dict[str, Any]:
    rules = [{"path": str(vmm.directory), "access": "rw"}]
    serial = {"mode": "Socket", "socket": "serial.sock"}
    return config(tmp_path, serial=serial, landlock_enable=True, landlock_rules=rules, **more)


def test_landlock_lets_the_vm_reboot_and_keeps_everything_else_out(start: Start, tmp_path: Path) -> None:
    vmm = start()
    inside, outside = tmp_path / "inside.raw", tmp_path / "outside.raw"
    for image in (inside, outside):
        image.write_bytes(bytes(4096))
    disks = [{"id": "in", "path": str(inside), "image_type": "Raw"}]
    assert vmm.put("vm.create", confined(vmm, tmp_path, disks=disks)) == (204, "")
    assert vmm.put("vm.boot") == (204, "")
    assert vmm.put("vm.reboot") == (204, "")
    with vmm.connect("serial.sock") as console:
        assert BANNER in read_until(console, b"~ # ")
    status, answer = vmm.put("vm.add-disk", {"id": "out", "path": str(outside), "image_type": "Raw"})
    assert (status, json.loads(answer)[-1]) == (500, "Permission denied (os error 13)")


def test_without_its_directory_a_confined_vm_cannot_reboot(start: Start, tmp_path: Path) -> None:
    vmm = start()
    body = confined(vmm, tmp_path) | {"landlock_rules": []}
    assert vmm.put("vm.create", body) == (204, "")
    assert vmm.put("vm.boot") == (204, "")
    status, answer = vmm.put("vm.reboot")
    assert (status, json.loads(answer)[-1]) == (500, "Address already in use (os error 98)")


def test_a_rule_for_a_path_that_is_not_there_fails_the_boot(start: Start, tmp_path: Path) -> None:
    vmm = start()
    body = confined(vmm, tmp_path)
    body["landlock_rules"].append({"path": "/nowhere", "access": "r"})
    assert vmm.put("vm.create", body) == (204, "")
    status, answer = vmm.put("vm.boot")
    assert (status, json.loads(answer)[-1]) == (
        500,
        'Path "/nowhere" provided in landlock-rules does not exist',
    )


def with_vhost_user(tmp_path: Path, mode: str) -> dict[str, Any]:
    net = {"id": "lan", "vhost_user": True, "vhost_socket": str(tmp_path / "v.sock"), "vhost_mode": mode}
    return config(tmp_path, net=[net], memory={"size": 1 << 28, "shared": True})


def test_a_vhost_user_client_greets_its_backend_at_every_boot(start: Start, tmp_path: Path) -> None:
    vmm, backend = start(), VhostUserBackend(tmp_path / "v.sock")
    vmm.put("vm.create", with_vhost_user(tmp_path, "Client"))
    assert vmm.put("vm.boot") == (204, "")
    until(lambda: backend.asked == [GET_FEATURES, SET_OWNER], "the greeting")
    until(lambda: "virtio-device/reset" in vmm.events(), "the reset")
    assert vmm.put("vm.reboot") == (204, "")
    until(lambda: backend.asked == [GET_FEATURES, SET_OWNER] * 2, "the second greeting")
    vmm.put("vmm.shutdown")
    backend.close()


def test_a_backend_that_is_not_there_is_waited_for_and_then_refused(start: Start, tmp_path: Path) -> None:
    vmm = start(words="vhost-user=0.3")
    vmm.put("vm.create", with_vhost_user(tmp_path, "Client"))
    status, answer = vmm.put("vm.boot")
    chain = ["Cannot create vhost-user-net device", "Connection to socket failed", MISSING]
    assert (status, json.loads(answer)[3:]) == (500, chain)


def test_a_vhost_user_server_makes_its_socket_and_takes_it_away(start: Start, tmp_path: Path) -> None:
    vmm, backend = start(), VhostUserBackend(tmp_path / "v.sock", calls=True)
    vmm.put("vm.create", with_vhost_user(tmp_path, "Server"))
    assert vmm.put("vm.boot") == (204, "")
    until(lambda: backend.asked == [GET_FEATURES, SET_OWNER], "the greeting")
    assert (tmp_path / "v.sock").exists()
    vmm.put("vm.shutdown")
    assert not (tmp_path / "v.sock").exists()
    backend.close()
