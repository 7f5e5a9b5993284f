"""P14: from `POST /start` to a guest in user space, against the same VMM by hand and `virsh start`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from qarax_node.drivers.cloud_hypervisor.probe import probe
from qarax_node.drivers.qemu.spec import QMP_FD, SERIAL_FD
from tests.bench import libvirt
from tests.bench.load import connected
from tests.bench.measure import in_turns, median, ratios, spread
from tests.bench.rows import ABSENT, Bench, Line, row
from tests.bench.starting import SERIAL, force_stop, listens, start
from tests.fakes.standin_process import StandIn, read_until
from tests.faults.conftest import begin
from tests.faults.world import CMDLINE, QEMU, World, world_on
from tests.guest_image import BANNER, GuestImage, build_guest_image

GUEST_MEMORY = 128 << 20
BOOT_SECONDS = 120.0
PAUSE = 0.005
"""Between two looks at a log: more of them would take the guest's processor away."""
STOPPED = "-S"
"""By hand nobody waits for a console before the first instruction."""


@dataclass(frozen=True)
class Peer:
    """Whom we are compared with, the largest ratio that meets the goal, and what limits it."""

    name: str
    most: float
    limit: str


BY_HAND = Peer(
    "by hand", 1.05, "The guest's own boot, under emulation where it is QEMU's; what qarax adds is P3's part."
)
VIRSH = Peer(
    "virsh start", 0.6, "The same guest boots on both sides, so that only what libvirt adds can be gained."
)


@row("P14")
async def guest_start(bench: Bench) -> list[Line]:
    """`POST /start` → the guest's own word that it is up."""
    image = await asyncio.to_thread(build_guest_image, bench.guest_images)
    installed = probe("cloud-hypervisor")
    why = installed.kvm_fault or installed.fault
    return [
        *await _qemu(bench, image),
        _absent("start → guest in user space, Cloud Hypervisor", BY_HAND, why)
        if why
        else await cloud_hypervisor(bench, image, installed.binary),
    ]


async def _qemu(bench: Bench, image: GuestImage) -> list[Line]:
    returned: list[float] = []
    async with _guest(bench, QEMU, image) as (world, vm_id, ours):
        argv: list[str] = []
        await ours(lambda: argv.extend(_command_line(world, vm_id)))  # and the files are warm

        async def by_hand() -> float:
            return await asyncio.to_thread(_boot_qemu, argv)

        async def virsh() -> float:
            seconds, up = await asyncio.to_thread(peer.start, BANNER, BOOT_SECONDS)
            returned.append(seconds)
            return up

        with contextlib.ExitStack() as stack:
            try:
                session = libvirt.session(libvirt.Guest.of(argv, GUEST_MEMORY))
                peer = await asyncio.to_thread(stack.enter_context, session)
                await asyncio.to_thread(peer.start, BANNER, BOOT_SECONDS)
            except libvirt.NotRunError as error:
                mine, other = await in_turns(bench.rounds, ours, by_hand)
                against_virsh = _absent("the same against virsh start", VIRSH, str(error))
            else:
                mine, other, third = await in_turns(bench.rounds, ours, by_hand, virsh)
                note = f" (it returns after {median(returned):.2f} s)"
                against_virsh = _line("the same against virsh start", VIRSH, mine, third, note)
    return [
        _line("start → guest in user space, QEMU TCG", BY_HAND, mine, other),
        against_virsh,
    ]


async def cloud_hypervisor(bench: Bench, image: GuestImage, binary: str) -> Line:
    """The same with Cloud Hypervisor."""
    driver = ("--driver", "cloud_hypervisor", "--cloud-hypervisor-binary", binary)
    async with _guest(bench, driver, image) as (_, _, ours):

        async def by_hand() -> float:
            return await asyncio.to_thread(_boot_cloud_hypervisor, binary, image)

        await ours()
        mine, other = await in_turns(bench.rounds, ours, by_hand)
    return _line("start → guest in user space, Cloud Hypervisor", BY_HAND, mine, other)


def _line(what: str, peer: Peer, mine: list[float], other: list[float], note: str = "") -> Line:
    share = ratios(mine, other)
    return Line(
        "P14",
        what,
        f"{median(mine):.2f} s",
        f"{peer.name} {median(other):.2f} s{note}",
        f"≤ {peer.most:g}×",
        median(share) <= peer.most,
        median(share),
        spread(share),
        peer.limit,
        {"server_seconds": mine, "peer_seconds": other},
    )


def _absent(what: str, peer: Peer, why: str) -> Line:
    return Line("P14", what, "–", f"{ABSENT}: {why}", f"≤ {peer.most:g}×", None)


Ours = Callable[..., Awaitable[float]]


@contextlib.asynccontextmanager
async def _guest(
    bench: Bench, driver: tuple[str, ...], image: GuestImage
) -> AsyncIterator[tuple[World, str, Ours]]:
    """A control plane with one VM, and what starts it, waits for its guest, looks at it and ends it."""
    async with world_on(bench.postgres, driver, image) as world:
        await begin(world)
        vm_id = await world.create(memory_size=GUEST_MEMORY)
        log = world.state.runtime / f"{vm_id}.console.log"
        log.touch()

        async def ours(look: Callable[[], None] = lambda: None) -> float:
            async with connected(world.url) as wire:  # a kept one is closed while a peer takes its time
                begins = log.stat().st_size
                began = time.perf_counter()
                await start(wire, vm_id)
                while BANNER not in _from(log, begins):
                    assert time.perf_counter() - began < BOOT_SECONDS, "the guest never said that it is up"
                    await asyncio.sleep(PAUSE)
                seconds = time.perf_counter() - began
                look()
                await force_stop(wire, vm_id)
                return seconds

        yield world, vm_id, ours


def _from(log: Path, offset: int) -> bytes:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read()


def _command_line(world: World, vm_id: str) -> list[str]:
    ((pid, _),) = world.vmms()[vm_id]
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(path))
        found.listen(1)
        yield found


def _replaced(word: str, own: dict[str, str]) -> str:
    for theirs, ours in own.items():
        if theirs in word:
            return word.replace(theirs, ours)
    return word


def _boot_qemu(argv: Sequence[str]) -> float:
    """The very command line, with sockets of our own in the places of the keeper's two."""
    with tempfile.TemporaryDirectory(prefix="qarax-hand-") as place, contextlib.ExitStack() as stack:
        began = time.perf_counter()
        monitor = stack.enter_context(_listening(Path(place) / "monitor"))
        serial = stack.enter_context(_listening(Path(place) / "serial"))
        fds = (monitor.fileno(), serial.fileno())
        own = {f"fd={QMP_FD},": f"fd={fds[0]},", f"fd={SERIAL_FD},": f"fd={fds[1]},"}
        words = [_replaced(word, own) for word in argv if word != STOPPED]
        process = subprocess.Popen(words, cwd=place, pass_fds=fds, stdin=subprocess.DEVNULL)
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(BOOT_SECONDS)
                client.connect(f"{place}/serial")
                seen = b""
                while BANNER not in seen:
                    seen += client.recv(4096)
                return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def _boot_cloud_hypervisor(binary: str, image: GuestImage) -> float:
    """Spawn, `vm.create`, `vm.boot`, and read its serial socket."""
    with tempfile.TemporaryDirectory(prefix="qarax-hand-") as place:
        payload = {"kernel": str(image.kernel), "initramfs": str(image.initramfs), "cmdline": CMDLINE}
        body = {
            "payload": payload,
            "memory": {"size": GUEST_MEMORY},
            "serial": SERIAL,
            "console": {"mode": "Off"},
            "pvpanic": True,
        }
        began = time.perf_counter()
        machine = StandIn(Path(place), binary=binary)
        try:
            while not listens(machine):
                time.sleep(PAUSE)
            _put(machine, "vm.create", body)
            with machine.connect("serial.sock") as serial:
                _put(machine, "vm.boot")
                read_until(serial, BANNER)
                return time.perf_counter() - began
        finally:
            machine.close()


def _put(machine: StandIn, endpoint: str, body: Mapping[str, Any] | None = None) -> None:
    status, words = machine.put(endpoint, body)
    assert status == HTTPStatus.NO_CONTENT, (endpoint, words)
