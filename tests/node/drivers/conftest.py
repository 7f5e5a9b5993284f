"""The hypervisors that the driver contract is run against, and a VM of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from qarax_proto import node_pb2_grpc

from qarax_node.drivers.base import Driver, Notify
from qarax_node.drivers.cloud_hypervisor.driver import CloudHypervisorDriver
from qarax_node.drivers.qemu.driver import QemuDriver
from qarax_node.drivers.simulated import SimulatedDriver
from qarax_node.keeper_client import KeeperClient
from qarax_node.settings import Settings
from tests.guest_image import GuestImage
from tests.node.drivers.harness import Case, Shell, Vm
from tests.node.drivers.node_process import NodeProcess
from tests.node.keeping import KeeperProcess

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

MakeVm = Callable[..., Vm]
CLOUD_HYPERVISOR = Path(__file__).parents[2] / "fakes" / "cloud-hypervisor"


def make_qemu(keeper: KeeperClient, notify: Notify) -> Driver:
    return QemuDriver(keeper, notify)


def make_simulated(keeper: KeeperClient, notify: Notify) -> Driver:
    del keeper
    return SimulatedDriver(Settings(simulated_boot_seconds=0.01), notify)


def make_cloud_hypervisor(keeper: KeeperClient, notify: Notify) -> Driver:
    return CloudHypervisorDriver(keeper, notify, binary=str(CLOUD_HYPERVISOR), chosen=True)


HYPERVISORS = [pytest.param("qemu", marks=pytest.mark.qemu), "cloud_hypervisor"]


@pytest.fixture(params=HYPERVISORS)
def case(request: pytest.FixtureRequest) -> Case:
    """One hypervisor after the other; the contract adds the simulated one."""
    made: Case = request.getfixturevalue(f"{request.param}_case")
    return made


@pytest.fixture
def qemu_case(guest_image: GuestImage) -> Case:
    return Case(
        name="qemu",
        kernel=guest_image.kernel,
        initrd=guest_image.initramfs,
        make=make_qemu,
        shell=Shell(),
    )


@pytest.fixture
def cloud_hypervisor_case(tmp_path: Path) -> Case:
    """The stand-in of tests/fakes/cloud_hypervisor, with a file that looks like a kernel."""
    kernel, initrd = looks_bootable(tmp_path)
    shell = Shell(panic="panic", read="read {disk}", write="write {disk} {text}", flood="flood 100000")
    return Case("cloud_hypervisor", kernel, initrd, make_cloud_hypervisor, shell)


def looks_bootable(folder: Path) -> tuple[Path, Path]:
    """Files that pass for a kernel and an initramfs."""
    kernel, initrd = folder / "bzImage", folder / "initrd"
    kernel.write_bytes(bytes(0x202) + b"HdrS" + bytes(0x1000))
    initrd.write_bytes(b"\x1f\x8b" + bytes(64))
    return kernel, initrd


@pytest.fixture
def simulated_case(tmp_path: Path) -> Case:
    kernel, initrd = looks_bootable(tmp_path)
    shell = Shell(poweroff="poweroff", reboot="reboot", panic="panic")
    return Case("simulated", kernel, initrd, make_simulated, shell, banner=b"qarax: simulated guest")


@pytest.fixture
async def make_vm(case: Case, runtime_dir: Path, keeper: KeeperClient) -> AsyncIterator[MakeVm]:
    """VMs whose drivers let go of them at the end; their processes go with the keeper's."""
    made: list[Vm] = []

    def make(**changes: Any) -> Vm:
        made.append(Vm(case, keeper, case.spec(runtime_dir, **changes)))
        return made[-1]

    yield make
    for vm in made:
        await vm.close()


@pytest.fixture
def vm(make_vm: MakeVm) -> Vm:
    return make_vm()


@pytest.fixture
def node(case: Case, runtime_dir: Path, keeper_process: KeeperProcess) -> Iterator[NodeProcess]:
    """A node as a process, with this case's driver alone."""
    assert keeper_process.runtime_dir == runtime_dir
    made = NodeProcess(case.name, runtime_dir, CLOUD_HYPERVISOR)
    made.start()
    yield made
    made.kill()


@pytest.fixture
async def node_stub(node: NodeProcess) -> AsyncIterator[Stub]:
    """Calls to that node, over its restarts too."""
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{node.port}", options=options) as channel:
        yield node_pb2_grpc.NodeStub(channel)
