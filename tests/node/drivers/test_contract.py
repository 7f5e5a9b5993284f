"""The driver contract, through a node as its server sees it: alike over every driver, real guests included.

A part that has no meaning for the simulated driver says why it is left out there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from qarax_proto import node_pb2

from qarax_node import processes
from qarax_node.network import taps
from tests.guest_image import GuestImage
from tests.node.drivers.conftest import HYPERVISORS
from tests.node.drivers.contract_vm import ContractVm
from tests.node.drivers.harness import CMDLINE, MIB, Case
from tests.node.drivers.node_process import NodeProcess
from tests.node.drivers.served import VmState, pooled, pooled_spec

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

Stop = node_pb2.StopOutcome
HOST, GUEST = "198.18.8.1", "198.18.8.2"
ECHO_REQUEST = Path(__file__).with_name("echo_request.py")


@pytest.fixture(params=[*HYPERVISORS, "simulated"])
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.getfixturevalue(f"{request.param}_case")
    return made


def left_out(case: Case, reason: str) -> None:
    """Skip what a VM in memory cannot have."""
    if case.name == "simulated":
        pytest.skip(f"a simulated VM {reason}")


@pytest.fixture
async def vm(node_stub: Stub, runtime_dir: Path) -> ContractVm:
    made = ContractVm(node_stub, runtime_dir)
    await made.node_is_back()
    return made


@pytest.fixture
def spec(case: Case, tmp_path: Path) -> node_pb2.VmSpec:
    return pooled_spec(case, tmp_path / "pool")


async def test_a_life_from_create_to_delete(
    case: Case, vm: ContractVm, spec: node_pb2.VmSpec, runtime_dir: Path
) -> None:
    await vm.create(spec)
    await vm.create(spec)
    assert (await vm.state()).status == VmState.STATUS_CREATED
    started = await vm.boot(case.banner)
    assert started.status == VmState.STATUS_RUNNING
    assert (await vm.start()).pid == started.pid
    await vm.run("echo typed", b"typed")

    for _ in range(2):
        assert (await vm.pause(timeout=10)).status == VmState.STATUS_PAUSED
    for _ in range(2):
        assert (await vm.resume()).status == VmState.STATUS_RUNNING
    await vm.run("echo resumed", b"resumed")

    seen = len(vm.console)
    assert (await vm.reboot()).pid == started.pid
    await vm.prints(case.banner, since=seen)
    await vm.prints(b"# ", since=vm.console.index(case.banner, seen))

    stopped = await vm.stop(grace=60)
    assert (stopped.status, stopped.pid) == (VmState.STATUS_SHUTDOWN, 0)
    assert stopped.last_stop.how == Stop.HOW_OBEYED
    assert "obeyed" in stopped.reason
    assert (await vm.start()).status == VmState.STATUS_RUNNING
    forced = await vm.stop(grace=0)
    assert (forced.status, forced.last_stop.how) == (VmState.STATUS_SHUTDOWN, Stop.HOW_FORCED)
    await vm.stop(grace=0)

    await vm.delete()
    await vm.delete()
    assert not list(runtime_dir.glob(f"{vm.vm_id}*"))
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await vm.state()
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_f14_what_a_guest_does_by_itself_is_told_and_never_restarted(
    case: Case, vm: ContractVm, spec: node_pb2.VmSpec
) -> None:
    await vm.create(spec)
    started = await vm.boot(case.banner)
    seen = len(vm.console)
    await vm.type(case.shell.reboot)
    rebooted, _ = await vm.becomes(lambda state: "rebooted" in state.reason)
    assert (rebooted.status, rebooted.pid) == (VmState.STATUS_RUNNING, started.pid)
    await vm.prints(case.banner, since=seen)
    await vm.prints(b"# ", since=vm.console.index(case.banner, seen))
    await vm.type(case.shell.panic)
    panicked, _ = await vm.becomes(lambda state: "panic" in state.reason)
    assert (panicked.status, panicked.pid) == (VmState.STATUS_RUNNING, started.pid)
    if case.name != "simulated":  # panic=1 on the command line of a real one
        await vm.becomes(lambda state: "rebooted" in state.reason)


async def test_f14_a_guest_that_powers_off_is_shut_down_and_starts_again(
    case: Case, vm: ContractVm, spec: node_pb2.VmSpec, runtime_dir: Path
) -> None:
    await vm.create(spec)
    started = await vm.boot(case.banner)
    await vm.type(case.shell.poweroff)
    off, _ = await vm.becomes(lambda state: state.status == VmState.STATUS_SHUTDOWN)
    assert (off.pid, off.last_stop.how) == (0, Stop.HOW_GUEST_POWEROFF)
    assert not list((runtime_dir / vm.vm_id).glob("*.sock"))
    assert not processes.command_line(started.pid) or case.name == "simulated"
    assert (await vm.start()).status == VmState.STATUS_RUNNING


async def test_f13_a_hypervisor_that_crashes(
    case: Case, vm: ContractVm, runtime_dir: Path, tmp_path: Path
) -> None:
    networks = [node_pb2.Network(id="lan", interface_type="tap")] if has_taps(case) else []
    tap = Path("/sys/class/net", taps.made_name(vm.vm_id, "lan"))
    await vm.create(pooled_spec(case, tmp_path / "pool", networks=networks))
    for number in (signal.SIGSEGV, signal.SIGKILL):
        started = await vm.start()
        assert tap.exists() == bool(networks)
        if case.name == "simulated":
            await vm.type("crash")
        else:
            os.kill(started.pid, number)
        crashed, seconds = await vm.becomes(lambda state: state.status == VmState.STATUS_SHUTDOWN)
        assert seconds < 5
        assert (crashed.pid, crashed.last_stop.how) == (0, Stop.HOW_CRASHED)
        assert crashed.reason.startswith("the hypervisor process died")
        assert case.name == "simulated" or number.name in crashed.reason
        assert (list((runtime_dir / vm.vm_id).glob("*.sock")), tap.exists()) == ([], False)


def has_taps(case: Case) -> bool:
    return case.name != "simulated" and os.geteuid() == 0 and Path("/dev/net/tun").exists()


async def test_a_killed_node_finds_its_vms_again(
    case: Case, node: NodeProcess, vm: ContractVm, spec: node_pb2.VmSpec
) -> None:
    """Running and paused they outlive it; only those in its own memory are gone, and it says so."""
    paused = vm.another()
    before = []
    for each in (vm, paused):
        await each.create(spec)
        before.append(await each.boot(case.banner))
    await paused.pause(timeout=10)
    node.kill()
    node.start()
    await vm.node_is_back()
    after = [
        (await each.becomes(lambda state: state.status != VmState.STATUS_UNKNOWN))[0] for each in (vm, paused)
    ]
    if case.name == "simulated":
        assert {state.status for state in after} == {VmState.STATUS_SHUTDOWN}
        assert {state.reason for state in after} == {"the simulated host was restarted"}
        return
    assert [state.status for state in after] == [VmState.STATUS_RUNNING, VmState.STATUS_PAUSED]
    assert [state.pid for state in after] == [state.pid for state in before]
    assert [state.started_at_ms for state in after] == [state.started_at_ms for state in before]
    await vm.run("echo adopted", b"adopted")
    await paused.resume()
    await paused.run("echo resumed", b"resumed")
    assert (await vm.stop(grace=60)).last_stop.how == Stop.HOW_OBEYED


async def test_a_flooding_console_is_byte_exact_across_a_kill_of_the_node(
    case: Case, node: NodeProcess, vm: ContractVm, spec: node_pb2.VmSpec, runtime_dir: Path
) -> None:
    left_out(case, "does not outlive its node")
    lines = flood_lines(case)
    await vm.create(spec)
    started = await vm.boot(case.banner)
    await vm.type(case.shell.flood)
    await vm.prints(b"\r\n%s\r\n" % lines[len(lines) // 20])
    node.kill()
    node.start()
    await vm.prints(b"\r\n%s\r\n" % lines[-1], seconds=90)

    printed = bytes(vm.console).split(b"\r\n")
    begun = printed.index(lines[0])
    assert printed[begun : begun + len(lines)] == lines
    log = (runtime_dir / f"{vm.vm_id}.console.log").read_bytes()
    assert log.startswith(bytes(vm.console))
    adopted = await vm.state()
    assert (adopted.status, adopted.pid) == (VmState.STATUS_RUNNING, started.pid)


def flood_lines(case: Case) -> list[bytes]:
    """What `shell.flood` prints."""
    count = int(case.shell.flood.split()[-1])
    if case.name == "qemu":
        return [b"%d" % number for number in range(1, count + 1)]
    return [b"flood %09d %s" % (number, b"." * 46) for number in range(count)]


@pytest.fixture
def disks(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> list[node_pb2.Disk]:
    """A root disk, and one that begins with a line of text."""
    data = tmp_path / "data"
    data.write_bytes(b"read me\n" + bytes(MIB - 8))
    root = tmp_path / "root"
    if case.name == "qemu":
        image: GuestImage = request.getfixturevalue("guest_image")
        shutil.copy(image.root_disk, root)
    else:
        root.write_bytes(bytes(MIB))
    return [
        node_pb2.Disk(id=path.name, file=pooled(tmp_path / "pool", path), image_type="raw")
        for path in (root, data)
    ]


async def test_a_guest_boots_from_its_root_disk_and_writes_to_the_second(
    case: Case, vm: ContractVm, disks: list[node_pb2.Disk], tmp_path: Path
) -> None:
    left_out(case, "has no disks behind their names")
    cmdline = f"{CMDLINE} quiet root=/dev/vda"
    await vm.create(pooled_spec(case, tmp_path / "pool", disks=disks, cmdline=cmdline))
    await vm.boot(case.banner)
    await vm.prints(b" root /dev/", since=vm.console.index(case.banner))
    await vm.run(case.shell.read.format(disk="/dev/vdb"), b"read me")
    await vm.type(case.shell.write.format(disk="/dev/vdb", text="written"))
    await vm.run(case.shell.read.format(disk="/dev/vdb"), b"written")
    await vm.stop(grace=60)
    assert Path(disks[1].file.path).read_bytes().startswith(b"written\n")


@contextlib.contextmanager
def network_namespace() -> Iterator[str]:
    """A network namespace of this test's own, gone afterwards."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("a network namespace needs root and /dev/net/tun")
    name = f"qarax-c{os.getpid()}"
    ip("netns", "add", name)
    try:
        yield name
    finally:
        ip("netns", "delete", name)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20).stdout


async def test_traffic_from_another_namespace_reaches_the_guest_through_its_tap(
    case: Case, vm: ContractVm, tmp_path: Path
) -> None:
    left_out(case, "has no network")
    network = node_pb2.Network(id="lan", interface_type="tap")
    cmdline = f"{CMDLINE} quiet ip={GUEST}/24"
    with network_namespace() as namespace:
        await vm.create(pooled_spec(case, tmp_path / "pool", networks=[network], cmdline=cmdline))
        await vm.boot(case.banner)
        tap = taps.made_name(vm.vm_id, "lan")
        ip("link", "set", tap, "netns", namespace)
        ip("-n", namespace, "address", "add", f"{HOST}/24", "dev", tap)
        ip("-n", namespace, "link", "set", tap, "up")
        ip("netns", "exec", namespace, sys.executable, str(ECHO_REQUEST), GUEST)
        assert (await vm.stop(grace=0)).last_stop.how == Stop.HOW_FORCED
