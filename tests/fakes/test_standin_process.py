"""The stand-in as a process: command line, socket, signals, what its guest does to it, faults on demand."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.fakes.standin_process import BINARY, StandIn, Start, config, until


def test_a_file_mode_without_a_file_panics(start: Start, tmp_path: Path) -> None:
    vmm = start()
    status, answer = vmm.put("vm.create", config(tmp_path, serial={"mode": "File"}))
    assert (status, json.loads(answer)) == (
        500,
        ["API response receive error", "receiving on a closed channel"],
    )
    assert vmm.exit_code() == 1
    assert (vmm.directory / "api.sock").exists()


def test_one_process_per_socket_and_stale_ones_go(start: Start) -> None:
    first = start()
    assert stat.S_IMODE((first.directory / "api.sock").stat().st_mode) == 0o700
    assert stat.S_IMODE((first.directory / "events").stat().st_mode) == 0o600
    second = StandIn(first.directory)
    assert second.exit_code() == 1
    words = 'API socket "api.sock" is already in use by another running instance'
    assert words in (first.directory / "out").read_text()
    first.ready().close()
    assert (first.directory / "api.sock").exists()
    third = StandIn(first.directory).ready()
    assert third.put("vmm.shutdown")[0] == 200
    assert third.exit_code() == 0
    assert sorted(path.name for path in first.directory.glob("api*")) == ["api.sock.lock"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Usage: cloud-hypervisor"),
        (["--nope"], 2, "unexpected argument '--nope' found"),
        (["--seccomp", "maybe", "--api-socket", "s"], 2, "invalid value 'maybe'"),
        (["--api-socket"], 2, "a value is required"),
        (["--landlock", "--api-socket", "s"], 2, "required arguments were not provided"),
        (["--api-socket", "fd=x"], 1, "Error parsing --api-socket"),
        (["--api-socket", "s", "--event-monitor", "bare"], 1, "Error parsing --event-monitor"),
        (["--api-socket", "/nowhere/s"], 1, "Error creation API server's socket"),
        (["--api-socket", "s" * 108], 1, "path must be shorter than SUN_LEN"),
    ],
)
def test_the_command_line(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    ended = subprocess.run(
        [BINARY, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr


def test_the_version() -> None:
    said = subprocess.run([BINARY, "-V", "-v"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert said.splitlines()[:2] == ["cloud-hypervisor v53.0", "Migration Protocol Versions: 0"]
    assert said.splitlines()[2].startswith("Enabled features: [")


def test_no_kvm_ends_before_any_socket(tmp_path: Path) -> None:
    vmm = StandIn(tmp_path / "vm", words="no-kvm")
    assert vmm.exit_code() == 1
    assert "Failed to open hypervisor interface" in (vmm.directory / "out").read_text()
    assert not (vmm.directory / "api.sock").exists()


def test_sigterm_is_a_hard_stop(start: Start, tmp_path: Path) -> None:
    vmm = start()
    vmm.put("vm.create", config(tmp_path))
    vmm.put("vm.boot")
    vmm.process.send_signal(signal.SIGTERM)
    assert vmm.exit_code() == 0
    assert vmm.events()[-3:] == ["vm/shutdown", "vm/deleted", "vmm/shutdown"]
    assert not (vmm.directory / "api.sock").exists()


def test_a_guest_poweroff_ends_the_process_unless_told_otherwise(start: Start, tmp_path: Path) -> None:
    leaves, stays = start(no_shutdown=False), start()
    for vmm in (leaves, stays):
        vmm.put("vm.create", config(tmp_path, "qarax.lifetime=0.05"))
        assert vmm.put("vm.boot") == (204, "")
    assert leaves.exit_code() == 0
    assert leaves.events()[-3:] == ["vm/shutdown", "vm/deleted", "vmm/shutdown"]
    until(lambda: stays.info()["state"] == "Created", "the poweroff")
    assert stays.events()[-1] == "vm/shutdown"
    assert stays.put("vm.boot") == (204, "")


def test_a_power_button_is_obeyed_after_a_pause(start: Start, tmp_path: Path) -> None:
    vmm = start()
    vmm.put("vm.create", config(tmp_path))
    vmm.put("vm.boot")
    vmm.put("vm.pause")
    assert vmm.put("vm.power-button") == (204, "")
    assert vmm.info()["state"] == "Paused"
    vmm.put("vm.resume")
    until(lambda: vmm.info()["state"] == "Created", "the poweroff")


def test_a_guest_reboot_that_cannot_be_followed_is_exit_1(start: Start, tmp_path: Path) -> None:
    vmm = start()
    body = config(tmp_path, "standin.reboot-after=0.3")
    vmm.put("vm.create", body)
    assert vmm.put("vm.boot") == (204, "")
    Path(body["payload"]["kernel"]).unlink()
    assert vmm.exit_code() == 1
    assert vmm.events()[-1] == "vm/rebooting"
    said = (vmm.directory / "out").read_text()
    assert "  1: Error rebooting VM\n  2: Cannot open kernel file\n" in said


def test_an_api_reboot_that_fails_leaves_the_process(start: Start, tmp_path: Path) -> None:
    vmm = start()
    body = config(tmp_path)
    vmm.put("vm.create", body)
    vmm.put("vm.boot")
    assert vmm.put("vm.reboot") == (204, "")
    assert "vm/rebooted" in vmm.events()
    Path(body["payload"]["kernel"]).unlink()
    assert vmm.put("vm.reboot")[0] == 500
    assert vmm.info()["state"] == "Created"


def test_a_panic_is_an_event(start: Start, tmp_path: Path) -> None:
    vmm = start()
    vmm.put("vm.create", config(tmp_path, "panic=0 standin.panic-after=0", pvpanic=True))
    vmm.put("vm.boot")
    until(lambda: "guest/panic" in vmm.events(), "the event")
    assert vmm.info()["state"] == "Running"
    assert '"properties": {\n    "event": "panic"\n  }\n}\n\n' in (vmm.directory / "events").read_text()


def test_faults_on_demand(start: Start, tmp_path: Path) -> None:
    failed, slow, dropped = start(), start(), start(words="lose-event=vmm/shutdown")
    failed.put("vm.create", config(tmp_path, "standin.vcpu-error-after=0.05"))
    failed.put("vm.boot")
    assert failed.exit_code() == 0
    assert "<vcpu0> ERROR:" in (failed.directory / "vmm.log").read_text()

    slow.put("vm.create", config(tmp_path, "standin.boot=0.4"))
    booting = threading.Thread(target=slow.put, args=("vm.boot",))
    booting.start()
    until(lambda: "vm/booting" in slow.events(), "the boot")
    slow.request("GET", "vmm.ping")
    assert "vm/booted" in slow.events()
    booting.join()

    dropped.put("vm.create", config(tmp_path, "standin.drop=vm.boot standin.drop-unread=vm.pause"))
    for endpoint in ("vm.boot", "vm.pause"):
        with pytest.raises(ConnectionResetError):
            dropped.put(endpoint)
    assert dropped.info()["state"] == "Running"
    dropped.put("vmm.shutdown")
    assert dropped.exit_code() == 0
    assert dropped.events()[-1] == "vm/deleted"


def test_a_hung_vmm_answers_nothing_and_ignores_sigterm(start: Start, tmp_path: Path) -> None:
    vmm = start()
    vmm.put("vm.create", config(tmp_path, "standin.hang-after=0"))
    vmm.put("vm.boot")
    until(lambda: "blocks" in (vmm.directory / "vmm.log").read_text(), "the block")
    with vmm.connect() as connection:
        connection.settimeout(0.3)
        connection.sendall(b"GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    vmm.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        vmm.process.wait(0.3)
