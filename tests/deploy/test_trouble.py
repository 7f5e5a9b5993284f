"""What goes wrong on the way to a host, and what an operator reads then."""

from __future__ import annotations

import json

import pytest

from qarax_server.settings import Settings
from tests.deploy.machine import PASSWORD, Ground, Machine
from tests.deploy.scene import ON_MACHINES, Installed, Scene, detail, steps
from tests.ports import free_port
from tests.server.running import control_plane, until

pytestmark = ON_MACHINES

NEVER_ENDS = "#!/bin/sh\nexec sleep 600\n"
NO_KEY = pytest.mark.parametrize("scene_settings", [{"ssh_key_path": ""}], indirect=True)


async def test_a_password_is_used_and_kept_nowhere(
    scene: Scene, host_machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    host_id = await scene.register(host_machine, user="deployer")
    host_machine.put("/etc/ssh/machine_keys/deployer", "")
    operation = await scene.begin(host_machine, host_id, ssh_password=PASSWORD)
    ended = await scene.end(operation)
    assert ended["status"] == "succeeded", ended
    assert "deployer at 127.0.0.1" in detail(ended, "connect")
    assert any(line.startswith("$ sudo -n -- systemctl restart") for line in ended["progress"]["log"])
    kept = [json.dumps([operation, ended, await scene.host(host_id)]), caplog.text]
    async with scene.plane.server.core.database.connection() as c:
        for table in ("operations", "events", "hosts", "idempotency_keys"):
            kept += [str(row["row"]) for row in await c.fetch_all(f"SELECT t::text AS row FROM {table} AS t")]  # noqa: S608
    assert not any(PASSWORD in each for each in kept)


@NO_KEY
async def test_without_key_and_password_nothing_begins(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    status, answer, _ = await scene.plane.request("POST", f"/hosts/{host_id}/deploy", {})
    assert (status, answer["code"]) == (422, "no_ssh_key")
    assert (await scene.host(host_id))["status"] == "down"


async def test_a_user_who_cannot_become_root_is_told_how(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine, user="plain")
    ended = await scene.deploy(host_machine, host_id)
    failure = ended["progress"]["failure"]
    assert (ended["status"], failure["step"]) == ("failed", "connect")
    assert failure["command"] == "sudo -n -- true"
    assert "/etc/sudoers.d/qarax" in failure["remedy"]
    host = await scene.host(host_id)
    assert host["status"] == "installation_failed"
    assert "sudo -n -- true" in host["status_reason"]


async def test_a_key_that_is_not_let_in(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    host_machine.put("/etc/ssh/machine_keys/root", "")
    ended = await scene.deploy(host_machine, host_id)
    assert "root at 127.0.0.1 port" in ended["reason"]
    assert "was not let in with the key" in ended["reason"]
    assert "authorized_keys" in ended["reason"]
    assert (await scene.host(host_id))["ssh_host_key"], "who it was is known, and shown"


async def test_another_machine_in_its_place_is_told_nothing(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.deployed(host_machine)
    known = await scene.host(host_id)
    await host_machine.show_new_host_key()
    refused = await scene.deploy(host_machine, host_id, ssh_password=PASSWORD)
    assert "is another machine than before" in refused["reason"]
    assert known["ssh_host_key"] == (await scene.host(host_id))["ssh_host_key"]
    assert steps(refused)["check"] == "waiting"
    for nonsense in ("ssh-ed25519 short", "ssh-ed25519 " + "A" * 68, "-oProxyCommand=true"):
        status, _, _ = await scene.plane.request("PATCH", f"/hosts/{host_id}", {"ssh_host_key": nonsense})
        assert status == 422, nonsense
    await scene.plane.ok("PATCH", f"/hosts/{host_id}", {"ssh_host_key": ""})
    again = await scene.deploy(host_machine, host_id)
    assert again["status"] == "succeeded", again
    assert "met for the first time" in detail(again, "connect")
    assert (await scene.host(host_id))["ssh_host_key"] != known["ssh_host_key"]


async def test_a_dead_host(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    ended = await scene.deploy(host_machine, host_id, ssh_port=free_port())
    assert "does not answer to SSH" in ended["reason"]
    assert (await scene.host(host_id))["status"] == "installation_failed"
    back = await scene.plane.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
    assert back["status"] == "unknown", "an operator's word ends it; its node does not answer"


async def test_a_step_that_fails_says_which_command_and_goes_on_from_there(
    scene: Scene, host_machine: Machine
) -> None:
    host_id = await scene.register(host_machine)
    in_the_way = "/etc/systemd/system/qarax-node.service"
    await host_machine.run("sh", "-c", f"rm {in_the_way} && mkdir {in_the_way}")
    ended = await scene.deploy(host_machine, host_id)
    failure = ended["progress"]["failure"]
    assert (ended["outcome"], failure["step"], failure["exit_status"]) == ("failed", "units", 1)
    assert failure["command"].startswith("mv -fT ")
    assert "cannot overwrite directory" in failure["output"]
    assert steps(ended)["switch"] == "waiting"
    host = await scene.host(host_id)
    assert host["status"] == "installation_failed"
    assert "units: `mv -fT" in host["status_reason"]
    await host_machine.run("rmdir", in_the_way)
    again = await scene.deploy(host_machine, host_id)
    assert (again["status"], steps(again)["environment"]) == ("succeeded", "unchanged")
    assert (await scene.host(host_id))["status"] == "up"


async def test_a_node_that_cannot_start_shows_its_last_words(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    host_machine.put("/etc/qarax/node.env", "QARAX_NODE_OPTIONS=--no-such-option\n")
    ended = await scene.deploy(host_machine, host_id)
    failure = ended["progress"]["failure"]
    assert (failure["step"], failure["command"]) == ("node", "systemctl restart qarax-node.service")
    assert any("--no-such-option" in line for line in ended["progress"]["log"])
    assert "journalctl -u qarax-node" in failure["remedy"]


async def test_no_virtualisation_is_said_before_anything_is_changed(
    scene: Scene, memory: Ground, installed: Installed
) -> None:
    machine = Machine(memory, "no-virtualisation", layers=(installed.layer,))
    await machine.start(virtualisation=False)
    try:
        host_id = await scene.register(machine)
        ended = await scene.deploy(machine, host_id)
        assert ended["progress"]["failure"]["step"] == "check"
        assert "neither vmx nor svm" in ended["reason"]
        forced = await scene.deploy(machine, host_id, force=True)
        assert forced["status"] == "succeeded", forced
    finally:
        await machine.stop()


async def test_one_at_a_time_and_cancelled_before_anything_runs(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    host_machine.put("/usr/local/bin/df", NEVER_ENDS, "0755")
    operation = await scene.begin(host_machine, host_id)
    for method, path, body in (
        ("POST", f"/hosts/{host_id}/deploy", {"ssh_port": host_machine.port}),
        ("PATCH", f"/hosts/{host_id}", {"status": "up"}),
        ("DELETE", f"/hosts/{host_id}", None),
    ):
        status, answer, _ = await scene.plane.request(method, path, body)
        assert (status, answer["operation"]["id"]) == (409, operation["id"]), (method, answer)
    await reaches(scene, operation, "check")
    cancelled = await scene.plane.ok("POST", f"/operations/{operation['id']}/cancel")
    assert (cancelled["status"], steps(cancelled)["check"]) == ("cancelled", "cancelled"), cancelled
    assert (await scene.host(host_id))["status"] == "down"
    status, _, _ = await scene.plane.request("POST", f"/operations/{operation['id']}/cancel")
    assert status == 409


@pytest.mark.parametrize("scene_settings", [{"step_seconds": 8.0}], indirect=True)
async def test_a_step_that_does_not_end_is_ended(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    host_machine.put("/usr/local/bin/df", NEVER_ENDS, "0755")
    ended = await scene.deploy(host_machine, host_id)
    assert "it did not end within 8 s (deployment.step_seconds), during `df --output=avail" in ended["reason"]


async def test_a_server_that_goes_away_in_the_middle_leaves_no_riddle(
    scene_settings: Settings, host_machine: Machine
) -> None:
    async with control_plane(scene_settings) as plane:
        scene = Scene(plane)
        host_id = await scene.register(host_machine)
        host_machine.put("/usr/local/bin/df", NEVER_ENDS, "0755")
        operation = await scene.begin(host_machine, host_id)
        await reaches(scene, operation, "check")
        await plane.stop()
    async with control_plane(scene_settings) as plane:
        scene = Scene(plane)
        ended = await scene.end(operation, 10)
        assert (ended["status"], ended["outcome"]) == ("failed", "interrupted")
        assert ended["reason"].startswith("check: the server was stopped during this step")
        assert (await scene.host(host_id))["status"] == "installation_failed"
        host_machine.put("/usr/local/bin/df", '#!/bin/sh\nexec /usr/bin/df "$@"\n', "0755")
        again = await scene.deploy(host_machine, host_id)
        assert again["status"] == "succeeded", again


@pytest.mark.parametrize("scene_settings", [{"packages_path": "/nowhere"}], indirect=True)
async def test_a_release_that_is_not_there(scene: Scene, host_machine: Machine) -> None:
    host_id = await scene.register(host_machine)
    status, answer, _ = await scene.plane.request(
        "POST", f"/hosts/{host_id}/deploy", {"image_version": "v8.8"}
    )
    assert (status, answer["code"]) == (422, "no_such_release")
    assert "/nowhere/qarax-8.8-py3-none-any.whl" in answer["message"]


@pytest.mark.parametrize("scene_settings", [{"cloud_hypervisor_sha256": "0" * 64}], indirect=True)
async def test_another_hypervisor_than_the_pinned_one_never_leaves(
    scene: Scene, host_machine: Machine
) -> None:
    host_id = await scene.register(host_machine)
    before = await host_machine.run("sha256sum", "/usr/local/bin/cloud-hypervisor")
    ended = await scene.deploy(host_machine, host_id)
    assert ended["progress"]["failure"]["step"] == "hypervisor"
    assert "cloud-hypervisor-static has the SHA-256" in ended["reason"]
    assert await host_machine.run("sha256sum", "/usr/local/bin/cloud-hypervisor") == before


async def reaches(scene: Scene, operation: object, step: str) -> None:
    assert isinstance(operation, dict)

    async def there() -> bool:
        found = await scene.plane.ok("GET", f"/operations/{operation['id']}")
        assert found["status"] == "running", found
        return bool(found["progress"]["step"] == step)

    await until(there, 120)
