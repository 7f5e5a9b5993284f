"""Disks and interfaces that a real guest sees: order, access, content, traffic."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qarax_node.drivers.base import DiskSpec, DriverError, NetworkSpec, Status
from qarax_node.network import macvtaps
from tests.guest_image import GuestImage
from tests.node.drivers.conftest import MakeVm
from tests.node.drivers.harness import BANNER, CMDLINE, MIB, Case

pytestmark = pytest.mark.qemu
HOST, GUEST = "198.18.7.1", "198.18.7.2"


@pytest.fixture
def case(qemu_case: Case) -> Case:
    return qemu_case


@pytest.fixture
def root_disk(guest_image: GuestImage, tmp_path: Path) -> DiskSpec:
    """A copy of the image's root disk, in a folder whose name would break an unescaped argument."""
    folder = tmp_path / "a,readonly=on b=c"
    folder.mkdir()
    return DiskSpec(
        "root", Path(shutil.copy(guest_image.root_disk, folder)), readonly=False, image_type="raw"
    )


def qcow2(path: Path) -> DiskSpec:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"], check=True)
    return DiskSpec("data", path, readonly=False, image_type="qcow2")


def blank(path: Path) -> DiskSpec:
    path.write_bytes(b"read me" + bytes(MIB - 7))
    return DiskSpec("extra", path, readonly=True, image_type="raw")


async def test_a_guest_boots_from_its_first_disk_and_has_the_others_in_order(
    make_vm: MakeVm, root_disk: DiskSpec, tmp_path: Path
) -> None:
    disks = (root_disk, qcow2(tmp_path / "data.qcow2"), blank(tmp_path / "extra.raw"))
    vm = make_vm(disks=disks, cmdline=f"{CMDLINE} quiet root=/dev/vda")
    await vm.boot()
    await vm.says(b"root /dev/", after=BANNER)
    await vm.type("cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdc/size /sys/block/vdc/ro")
    sizes = f"{root_disk.path.stat().st_size // 512}\r\n{8 * MIB // 512}\r\n{MIB // 512}\r\n1\r\n"
    await vm.says(sizes.encode())
    await vm.type(
        "echo into-the-file > /kept; head -c 7 /dev/vdc; dd if=/dev/zero of=/dev/vdb bs=64k count=4; sync"
    )
    await vm.says(b"read me")
    await vm.says(b"4+0 records out")

    counters = await vm.driver.counters(vm.spec)
    assert counters["root"]["read_bytes"] > MIB
    assert counters["extra"]["write_bytes"] == 0
    assert counters["vmm"]["memory_actual_size"] == vm.spec.memory_size

    await vm.driver.power_button(vm.spec)
    await vm.guest_is_off()
    assert b"into-the-file" in root_disk.path.read_bytes()


async def test_a_disk_that_another_vm_holds_is_refused_in_qemus_words_and_leaves_no_process(
    make_vm: MakeVm, root_disk: DiskSpec
) -> None:
    first, second = make_vm(disks=(root_disk,)), make_vm(disks=(root_disk,))
    await first.start()
    with pytest.raises(DriverError, match="lock") as refused:
        await second.start()
    assert (refused.value.code, refused.value.field) == ("disk_locked", "disks")
    assert [entry.vm_id for entry in await first.keeper.entries() if entry.running] == [first.spec.vm_id]
    assert (await first.driver.observe(first.spec)).status is Status.RUNNING


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=20).stdout


@contextlib.contextmanager
def made_tap(*options: str) -> Iterator[str]:
    """A tap of this host, gone afterwards."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("a tap needs root and /dev/net/tun")
    name = f"qt{os.getpid() % 100000}"
    run("ip", "tuntap", "add", name, "mode", "tap", *options)
    try:
        yield name
    finally:
        run("ip", "link", "delete", name)


@pytest.fixture
def tap() -> Iterator[str]:
    """With two queues and HOST's address."""
    with made_tap("multi_queue") as name:
        run("ip", "address", "add", f"{HOST}/24", "dev", name)
        run("ip", "link", "set", name, "mtu", "1400", "up")
        yield name


async def test_a_tap_processors_and_memory_are_what_was_asked_for(make_vm: MakeVm, tap: str) -> None:
    network = NetworkSpec(
        "lan",
        "tap",
        tap=tap,
        mac="52:54:00:aa:bb:07",
        mtu=1400,
        offload_tso=False,
        num_queues=4,
        queue_size=256,
    )
    vm = make_vm(
        boot_vcpus=2,
        max_vcpus=2,
        cpu_topology={"threads_per_core": 1, "cores_per_die": 1, "dies_per_package": 1, "packages": 2},
        memory_shared=True,
        memory_prefault=True,
        networks=(network,),
        cmdline=f"{CMDLINE} quiet ip={GUEST}/24",
    )
    await vm.boot()
    assert vm.process is not None
    await vm.type(f"ping -c 3 {HOST}")
    await vm.says(b" 0% packet loss")
    assert (await vm.driver.counters(vm.spec))["lan"]["rx_frames"] >= 3
    await vm.type("cd /sys/class/net/eth0; cat mtu address; echo $(ls queues) $(nproc)")
    await vm.says(b"1400\r\n52:54:00:aa:bb:07\r\nrx-0 rx-1 tx-0 tx-1 2\r\n")
    await vm.type("echo $(sort -u /sys/devices/system/cpu/cpu*/topology/core_siblings)")
    await vm.says(b"\r\n1 2\r\n")

    maps = Path(f"/proc/{vm.process.pid}/smaps").read_text()
    backend = maps[maps.index("memfd:memory-backend-memfd") :]
    flags = backend.index("VmFlags")
    assert f"Rss:              {vm.spec.memory_size >> 10} kB" in backend[:flags]
    assert " sh " in backend[flags:].splitlines()[0]


@pytest.fixture
def macvtap() -> Iterator[tuple[str, tuple[int, ...]]]:
    """A macvtap's MAC and open device; its parent's other end has HOST's address in another namespace."""
    if os.geteuid() != 0:
        pytest.skip("interfaces need root")
    number = os.getpid() % 10000
    name, parent, other = f"qarax-{number}", f"qp{number}", f"qo{number}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", parent, "type", "veth", "peer", "name", other, "netns", name)
        run("ip", "link", "set", parent, "up")
        run("ip", "-n", name, "address", "add", f"{HOST}/24", "dev", other)
        run("ip", "-n", name, "link", "set", other, "up")
        run("ip", "link", "add", "link", parent, "name", f"qm{number}", "type", "macvtap", "mode", "bridge")
        run("ip", "link", "set", f"qm{number}", "up")
        mac = Path(f"/sys/class/net/qm{number}/address").read_text().strip()
        fds = macvtaps.open_queues(f"qm{number}", 1, "networks.0")
        yield mac, fds
        os.close(fds[0])
        run("ip", "link", "delete", f"qm{number}")
    finally:
        run("ip", "netns", "delete", name)


async def test_traffic_reaches_another_namespace_through_a_macvtap(
    make_vm: MakeVm, macvtap: tuple[str, tuple[int, ...]]
) -> None:
    mac, fds = macvtap
    network = NetworkSpec("lan", "macvtap", mac=mac, macvtap_fds=fds)
    vm = make_vm(networks=(network,), cmdline=f"{CMDLINE} quiet ip={GUEST}/24")
    await vm.boot()
    await vm.type(f"ping -c 3 {HOST}")
    await vm.says(b" 0% packet loss")


async def test_a_tap_that_is_missing_is_refused_and_not_made(make_vm: MakeVm) -> None:
    vm = make_vm(networks=(NetworkSpec("lan", "tap", tap="qarax-none0"),))
    with pytest.raises(DriverError, match="ip tuntap add qarax-none0") as refused:
        await vm.start()
    assert refused.value.field == "networks.0.tap"
    assert not Path("/sys/class/net/qarax-none0").exists()
    assert await vm.keeper.entries() == []


async def test_more_devices_than_microvm_has_slots_boot_on_q35(make_vm: MakeVm, tmp_path: Path) -> None:
    disks = []
    for number in range(24):
        path = tmp_path / f"{number}.raw"
        path.write_bytes(bytes(65536))
        disks.append(DiskSpec(f"disk-{number}", path, readonly=True, image_type="raw"))
    vm = make_vm(disks=tuple(disks))
    await vm.boot()
    await vm.type("ls -d /sys/block/vd* | wc -l")
    await vm.says(b"24\r\n")
