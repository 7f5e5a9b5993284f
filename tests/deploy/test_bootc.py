"""`bootc`: another image, a reboot, and whether the machine comes back with it."""

from __future__ import annotations

import pytest

from tests.deploy.machine import Machine
from tests.deploy.packages import NEWER
from tests.deploy.scene import ON_MACHINES, REGISTRY, Scene, detail, steps
from tests.server.running import until

pytestmark = ON_MACHINES

OLD, NEW = f"{REGISTRY}/qarax-vmm:v0.1.0", f"{REGISTRY}/qarax-vmm:v{NEWER}"
DIGEST = f"sha256:{'5' * 64}"
BY_DIGEST = f"{REGISTRY}/qarax-vmm@{DIGEST}"
IMAGES = {OLD: "0.1.0", NEW: NEWER, BY_DIGEST: NEWER}


async def image_host(scene: Scene, machine: Machine, **more: object) -> str:
    """A host that is up and boots from images."""
    host_id = await scene.deployed(machine)
    machine.has_images(OLD, IMAGES, **more)
    return host_id


async def boot(scene: Scene, machine: Machine, host_id: str, **body: object) -> dict[str, object]:
    ended: dict[str, object] = await scene.deploy(machine, host_id, mode="bootc", **body)
    return ended


async def test_it_boots_the_image_and_again_changes_nothing(scene: Scene, host_machine: Machine) -> None:
    host_id = await image_host(scene, host_machine)
    before = await host_machine.read("/proc/sys/kernel/random/boot_id")
    ended = await boot(scene, host_machine, host_id, image_version=f"v{NEWER}")
    assert ended["status"] == "succeeded", ended
    assert detail(ended, "verify") == f"booted from {NEW}"
    assert before != await host_machine.read("/proc/sys/kernel/random/boot_id")
    host = await scene.host(host_id)
    assert (host["status"], host["versions"]["qarax-node"]) == ("up", NEWER)
    assert await scene.statuses(host_id) == [
        *("down", "installing", "initializing", "up"),
        *("installing", "initializing", "up"),
    ]
    assert f"switch {NEW}" in await host_machine.calls("bootc")
    again = await boot(scene, host_machine, host_id, image_version=f"v{NEWER}")
    assert again["status"] == "succeeded", again
    assert steps(again)["reboot"] == "unchanged"
    assert (await host_machine.calls("systemctl")).count("reboot") == 1


async def test_a_digest_is_taken_and_looked_at(scene: Scene, host_machine: Machine) -> None:
    host_id = await image_host(scene, host_machine)
    ended = await boot(scene, host_machine, host_id, image_version=DIGEST)
    assert ended["status"] == "succeeded", ended
    assert detail(ended, "verify") == f"booted from {BY_DIGEST}"


async def test_another_image_that_waits_for_a_reboot_is_not_booted_instead(
    scene: Scene, host_machine: Machine
) -> None:
    host_id = await image_host(scene, host_machine, staged=BY_DIGEST)
    ended = await boot(scene, host_machine, host_id, image_version="v0.1.0")
    assert ended["status"] == "succeeded", ended
    assert f"switch {OLD}" in await host_machine.calls("bootc")
    assert detail(ended, "verify") == f"booted from {OLD}"


async def test_it_does_not_reboot_under_vms_unless_forced(scene: Scene, host_machine: Machine) -> None:
    host_id = await image_host(scene, host_machine)
    vm_id = await scene.plane.add_vm("guest", driver="cloud_hypervisor")
    await scene.plane.ok("POST", f"/vms/{vm_id}/start")
    body = {"mode": "bootc", "image_version": f"v{NEWER}", "ssh_port": host_machine.port}
    status, answer, _ = await scene.plane.request("POST", f"/hosts/{host_id}/deploy", body)
    assert (status, answer["code"]) == (409, "vms_running")
    assert "guest" in answer["message"]
    assert (await scene.host(host_id))["status"] == "up"
    ended = await boot(scene, host_machine, host_id, image_version=f"v{NEWER}", force=True)
    assert ended["status"] == "succeeded", ended

    async def is_off() -> bool:
        return bool((await scene.plane.vm(vm_id))["status"] == "shutdown")

    await until(is_off)
    assert "reboot" in (await scene.plane.vm(vm_id))["status_reason"]


@pytest.mark.parametrize("scene_settings", [{"reboot_seconds": 4.0}], indirect=True)
async def test_a_machine_that_never_comes_back(scene: Scene, host_machine: Machine) -> None:
    host_id = await image_host(scene, host_machine)
    host_machine.put("/etc/standin/reboot", "never\n")
    ended = await boot(scene, host_machine, host_id, image_version=f"v{NEWER}")
    assert (ended["status"], steps(ended)["reboot"], steps(ended)["answer"]) == ("failed", "done", "failed")
    assert "deployment.reboot_seconds" in str(ended["reason"])
    assert (await scene.host(host_id))["status"] == "installation_failed"


async def test_a_machine_that_falls_back_to_its_former_image(scene: Scene, host_machine: Machine) -> None:
    host_id = await image_host(scene, host_machine, falls_back=True)
    ended = await boot(scene, host_machine, host_id, image_version=DIGEST)
    assert ended["reason"] == f"verify: it came back from {OLD}, not from {BY_DIGEST}"


async def test_an_image_that_no_registry_has(scene: Scene, host_machine: Machine) -> None:
    host_id = await image_host(scene, host_machine)
    ended = await boot(scene, host_machine, host_id, image_version="v0.0.1")
    failure = ended["progress"]["failure"]  # type: ignore[index]
    assert (failure["step"], failure["command"]) == ("image", f"bootc switch {REGISTRY}/qarax-vmm:v0.0.1")
    assert "manifest unknown" in failure["output"]
    assert (await host_machine.calls("systemctl")).count("reboot") == 0


async def test_a_machine_without_images(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    ended = await boot(scene, host_machine, host_id, image_version=f"v{NEWER}")
    assert "deploy with mode direct" in str(ended["reason"])
    for nonsense in ("", "sha256:12", "a b", "-x", "v1;reboot"):
        request = {"mode": "bootc", "image_version": nonsense}
        status, _, _ = await scene.plane.request("POST", f"/hosts/{host_id}/deploy", request)
        assert status == 422, nonsense
