"""`direct`, on machines with a real sshd: the first time, again, newer, and what stays while VMs run."""

from __future__ import annotations

from tests.deploy.machine import Machine
from tests.deploy.packages import NEWER
from tests.deploy.scene import ON_MACHINES, Installed, Scene, detail, steps
from tests.server.running import until

pytestmark = ON_MACHINES

RUNNING_UNITS = ("qarax-keeper.service", "qarax-node.service")


def test_a_bare_machine_becomes_a_host(installed: Installed) -> None:
    operation, host = installed.first, installed.host
    assert (operation["status"], operation["outcome"]) == ("succeeded", "deployed"), operation
    assert operation["subject_type"] == "host"
    assert installed.statuses == ["down", "installing", "initializing", "up"]
    assert (host["status"], host["versions"]["qarax-node"]) == ("up", "0.1.0")
    assert "met for the first time" in detail(operation, "connect")
    assert host["ssh_host_key"].startswith("ssh-ed25519 AAAA")
    assert operation["progress"]["host_key"].startswith("SHA256:")
    assert any(line.startswith("$ python3 -m venv /opt/qarax/") for line in operation["progress"]["log"])


def test_another_version_is_put_beside_it_and_back_again(installed: Installed) -> None:
    upgraded, back = installed.upgraded, installed.back
    assert (upgraded["status"], upgraded["progress"]["target"]) == ("succeeded", upgraded["reason"])
    assert f"qarax-node {NEWER} answers" in detail(upgraded, "answer")
    assert steps(upgraded)["environment"] == "done"
    assert (steps(back)["environment"], steps(back)["switch"]) == ("unchanged", "done")
    assert f"before it {NEWER}" in detail(back, "switch")


async def test_repeated_it_changes_nothing(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.deployed(host_machine)
    pids = [await host_machine.pid_of(unit) for unit in RUNNING_UNITS]
    restarts = await restarted(host_machine)
    again = await scene.deploy(host_machine, host_id)
    assert again["status"] == "succeeded"
    assert set(steps(again).values()) == {"unchanged"}, again["progress"]["steps"]
    assert again["reason"].endswith("nothing had to change")
    assert [await host_machine.pid_of(unit) for unit in RUNNING_UNITS] == pids
    assert await restarted(host_machine) == restarts
    assert (await scene.host(host_id))["status"] == "up"


async def test_an_upgrade_keeps_vms_and_the_keeper(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.deployed(host_machine)
    vm_id = await scene.plane.add_vm("guest", driver="cloud_hypervisor")
    await scene.plane.ok("POST", f"/vms/{vm_id}/start")
    guests = await host_machine.hypervisors()
    keeper, node = [await host_machine.pid_of(unit) for unit in RUNNING_UNITS]
    upgraded = await scene.deploy(host_machine, host_id, image_version=f"v{NEWER}")
    assert upgraded["status"] == "succeeded", upgraded
    assert "goes on because VMs run (guest)" in detail(upgraded, "keeper")
    assert guests
    assert await host_machine.hypervisors() == guests
    assert await host_machine.pid_of("qarax-keeper.service") == keeper
    assert await host_machine.pid_of("qarax-node.service") != node
    host = await scene.host(host_id)
    assert (host["status"], host["versions"]["qarax-node"]) == ("up", NEWER)

    async def runs() -> bool:
        return bool((await scene.plane.vm(vm_id))["status"] == "running")

    await until(runs)
    await scene.plane.ok("DELETE", f"/vms/{vm_id}")
    later = await scene.deploy(host_machine, host_id, image_version=f"v{NEWER}")
    assert "restarted: it had changed and no VM runs" in detail(later, "keeper")
    assert await host_machine.pid_of("qarax-keeper.service") != keeper


async def test_what_an_operator_wrote_stays(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.deployed(host_machine)
    options = await host_machine.read("/etc/qarax/node.env")
    assert "--driver cloud_hypervisor" in options
    unit = await host_machine.read("/etc/systemd/system/qarax-node.service")
    assert f"--port {host_machine.node_port} " in unit
    assert "--tls-directory /etc/qarax/tls" in unit
    assert (await scene.host(host_id))["drivers"][0]["name"] == "cloud_hypervisor"


async def restarted(machine: Machine) -> list[str]:
    return [
        call for call in await machine.calls("systemctl") if call.startswith(("restart", "daemon-reload"))
    ]
