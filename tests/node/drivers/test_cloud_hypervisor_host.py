"""Cloud Hypervisor and its host: confined by Landlock, joined to a vhost-user backend, sparing the disk."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from qarax_node.drivers.base import Capability, DiskSpec, NetworkSpec, Status, StopHow
from qarax_node.drivers.cloud_hypervisor import landlock, process, trimming
from qarax_node.drivers.cloud_hypervisor.driver import CloudHypervisorDriver
from qarax_node.drivers.cloud_hypervisor.events import EventFile
from qarax_node.drivers.cloud_hypervisor.probe import probe
from tests.fakes.vhost_user_backend import GET_FEATURES, SET_OWNER, VhostUserBackend
from tests.node.drivers.cloud_hypervisor_vms import refused, words
from tests.node.drivers.conftest import CLOUD_HYPERVISOR, MakeVm
from tests.node.drivers.harness import BANNER, MIB, Case
from tests.node.keeping import until

no_landlock = pytest.mark.skipif(
    bool(landlock.why_not(landlock.kernel_abi())), reason="this kernel has no Landlock to confine with"
)


@pytest.fixture
def case(cloud_hypervisor_case: Case) -> Case:
    """Only this hypervisor here."""
    return cloud_hypervisor_case


@pytest.mark.parametrize(("abi", "words"), [(0, "offers none"), (2, "has ABI 2"), (3, ""), (7, "")])
def test_a_kernel_that_cannot_confine_is_named_with_the_fix(abi: int, words: str) -> None:
    sentence = landlock.why_not(abi)
    assert words in sentence
    assert bool(sentence) == bool(words)
    assert not sentence or "without --landlock" in sentence


def test_a_node_asks_this_kernel_whether_it_can_confine() -> None:
    fault = probe(str(CLOUD_HYPERVISOR), chosen=True, landlock=True).fault
    assert fault == landlock.why_not(landlock.kernel_abi())
    free = probe(str(CLOUD_HYPERVISOR), chosen=True)
    assert free.fault == ""
    confined = probe(str(CLOUD_HYPERVISOR), chosen=True, landlock=True).facts().capabilities
    assert free.facts().capabilities - confined == {Capability.VHOST_USER}


@no_landlock
async def test_a_confined_vm_lives_and_reboots_within_its_files(make_vm: MakeVm, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(b"inside\n" + bytes(MIB - 7))
    networks = (
        (NetworkSpec("lan", "tap", tap=tap_name(), mac="52:54:00:00:00:07"),) if may_make_taps() else ()
    )
    vm = make_vm(disks=(DiskSpec("data", image, readonly=False, image_type="raw"),), networks=networks)
    vm.driver = CloudHypervisorDriver(
        vm.keeper, vm.note, binary=str(CLOUD_HYPERVISOR), chosen=True, landlock=True
    )
    try:
        if networks:
            ip("tuntap", "add", tap_name(), "mode", "tap")
        await vm.boot()
        await vm.driver.reboot(vm.spec)
        await vm.says(BANNER, times=2)
        await vm.type("reboot -f")
        await vm.says(BANNER, times=3)
        await vm.says(b"# ", after=BANNER)
        await vm.type("read /dev/vda")
        await vm.says(b"\ninside\r\n")
        await vm.driver.power_button(vm.spec)
        how, _ = await vm.driver.exit_reason(vm.spec, await vm.exit())
        assert how is StopHow.OBEYED
    finally:
        if networks:
            ip("link", "delete", tap_name())


def may_make_taps() -> bool:
    return os.geteuid() == 0 and Path("/dev/net/tun").exists()


def tap_name() -> str:
    return f"ql{os.getpid() % 100000}"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


async def test_a_vhost_user_backend_is_greeted_at_every_boot(make_vm: MakeVm, tmp_path: Path) -> None:
    """As far as it goes without the real one: a connection and its greeting; no queue is ever served."""
    backend = VhostUserBackend(tmp_path / "v.sock")
    network = NetworkSpec(
        "lan",
        "vhost_user",
        mac="52:54:00:00:00:07",
        vhost_socket=str(tmp_path / "v.sock"),
        vhost_mode="client",
    )
    vm = make_vm(networks=(network,), memory_shared=True)
    await vm.boot()
    await until(lambda: backend.asked == [GET_FEATURES, SET_OWNER], what="the greeting")
    await vm.type("reboot -f")
    await until(lambda: backend.asked == [GET_FEATURES, SET_OWNER] * 2, what="the second greeting")
    await vm.says(BANNER, times=2)
    await vm.driver.end(vm.spec)
    await vm.exit()
    backend.close()


async def test_a_backend_that_goes_away_is_refused_in_the_hypervisors_words(
    make_vm: MakeVm, tmp_path: Path
) -> None:
    network = NetworkSpec(
        "lan", "vhost_user", mac="52:54:00:00:00:07", vhost_socket=str(tmp_path / "gone"), vhost_mode="client"
    )
    vm = make_vm(networks=(network,), memory_shared=True, cmdline=words("vhost-user=0.2"))
    error = await refused(vm)
    assert (error.code, error.field) == ("vmm_refused", "networks")
    assert "Connection to socket failed" in str(error)


def an_event(name: str) -> str:
    record = {"timestamp": {"secs": 1, "nanos": 2}, "source": "vm", "event": name, "properties": None}
    return json.dumps(record, indent=2) + "\n\n"


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_events_are_let_go_and_what_they_add_up_to_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text(an_event("booted"))
    file = EventFile(str(tmp_path))
    count = 0
    while path.stat().st_size < 3 * trimming.ROOM_BYTES:
        with path.open("a") as growing:
            growing.write((an_event("pausing") + an_event("paused")) * 200)
        count += len(file.read())
    assert count == 1 + 2 * 200 * ((count - 1) // 400)
    assert blocks(path) <= 2 * trimming.ROOM_BYTES
    with path.open("a") as growing:
        growing.write(an_event("shutdown"))
    assert [one["event"] for one in file.read()] == ["shutdown"]

    found = EventFile(str(tmp_path))
    assert [one["event"] for one in found.read()][-1] == "shutdown"
    assert (found.history.status, found.history.off) == (Status.SHUTDOWN, True)


async def test_a_vmms_log_keeps_its_end_and_gives_the_rest_back(make_vm: MakeVm) -> None:
    vm = make_vm()
    await vm.boot()
    log = vm.spec.directory / process.LOG
    with log.open("ab") as growing:
        for _ in range(40):
            growing.write(b"cloud-hypervisor: 1.0s: <vcpu0> WARN:x.rs:1 -- noise\n" * 2000)
    await until(lambda: blocks(log) <= trimming.ROOM_BYTES + MIB, what="the trimming")
    assert log.read_bytes().endswith(b"noise\n")
