"""P3 and P14: from `POST /start` to a VM that runs, against the same hypervisor driven by hand."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path

from qarax_node.drivers.kvm import why_no_kvm
from qarax_node.drivers.qemu.spec import QMP_FD, SERIAL_FD
from tests.bench.load import Wire, connected
from tests.bench.measure import in_turns, median, percentile, ratios, spread
from tests.bench.rows import ABSENT, Bench, Line, row
from tests.fakes.standin_process import StandIn, config
from tests.faults.conftest import begin
from tests.faults.world import CLOUD_HYPERVISOR, CMDLINE, QEMU, World, world_on
from tests.guest_image import BANNER, build_guest_image

BOOT_KNOB = "standin.boot=0.02"
SERIAL = {"mode": "Socket", "socket": "serial.sock"}
GUEST_MEMORY = 128 << 20
BOOT_SECONDS = 120.0
PAUSE = 0.0005
STOPPED = "-S"
"""By hand nobody waits for a console before the first instruction."""


@row("P3")
async def stand_in_start(bench: Bench) -> list[Line]:
    """REST → 200 against spawn, `vm.create` and `vm.boot` by hand, on a stand-in that boots in 20 ms."""
    rounds = bench.size(100, 20)
    async with world_on(bench.postgres, CLOUD_HYPERVISOR) as world:
        await begin(world)
        source = await world.boot_source(BOOT_KNOB.removeprefix("standin."))
        vm_id = await world.create(boot_source_id=source)
        with tempfile.TemporaryDirectory(prefix="qarax-hand-") as place:
            async with connected(world.url) as wire:

                async def ours() -> float:
                    seconds = await _start(wire, vm_id)
                    assert len(world.vmms()[vm_id]) == 1, "not exactly one VMM"
                    await _force_stop(wire, vm_id)
                    return seconds

                async def theirs() -> float:
                    return await asyncio.to_thread(_start_by_hand, Path(place))

                mine, other = await in_turns(rounds, ours, theirs)
    more = (median(mine) - median(other)) * 1000
    tail = (percentile(mine, 0.99) - percentile(other, 0.99)) * 1000
    return [
        Line(
            "P3",
            "start: REST → 200, 20 ms boot",
            f"{median(mine) * 1000:.1f} ms (p99 {percentile(mine, 0.99) * 1000:.1f})",
            f"by hand {median(other) * 1000:.1f} ms (p99 {percentile(other, 0.99) * 1000:.1f})",
            f"+ ≤ 8 ms, p99 + ≤ 25 ms: + {more:.1f}, + {tail:.1f}",
            more <= 8 and tail <= 25,
            median(ratios(mine, other)),
            spread(mine),
            "Two transactions that reach the disk (claim and outcome), one RPC and the keeper's spawn lie "
            "around the same hypervisor's own start.",
            {"server_seconds": mine, "by_hand_seconds": other},
        )
    ]


async def _start(wire: Wire, vm_id: str) -> float:
    began = time.perf_counter()
    reply = await wire.ask("POST", f"/vms/{vm_id}/start")
    seconds = time.perf_counter() - began
    assert reply.status == HTTPStatus.OK, reply
    assert b'"status":"running"' in reply.body, reply.body
    return seconds


async def _force_stop(wire: Wire, vm_id: str) -> None:
    reply = await wire.ask("POST", f"/vms/{vm_id}/stop?grace=0")
    assert reply.status == HTTPStatus.OK, reply


def _start_by_hand(place: Path) -> float:
    began = time.perf_counter()
    machine = StandIn(place)
    try:
        while not _listens(machine):
            time.sleep(PAUSE)
        body = config(place, f"{CMDLINE} {BOOT_KNOB}", serial=SERIAL, pvpanic=True)
        assert machine.put("vm.create", body)[0] == HTTPStatus.NO_CONTENT
        with machine.connect("serial.sock"):
            assert machine.put("vm.boot")[0] == HTTPStatus.NO_CONTENT
            seconds = time.perf_counter() - began
            assert machine.info()["state"] == "Running"
    finally:
        machine.close()
        for name in ("api.sock", "serial.sock", "api.sock.lock"):
            (place / name).unlink(missing_ok=True)
    return seconds


def _listens(machine: StandIn) -> bool:
    try:
        machine.connect().close()
    except OSError:
        return False
    return True


@row("P14")
async def guest_start(bench: Bench) -> list[Line]:
    """`POST /start` → the guest's own word that it is up, against the same command line by hand."""
    image = await asyncio.to_thread(build_guest_image, bench.guest_images)
    async with world_on(bench.postgres, QEMU, image) as world, _real_guest(world) as (vm_id, wire):
        log = world.state.runtime / f"{vm_id}.console.log"

        async def ours() -> float:
            begins = log.stat().st_size
            began = time.perf_counter()
            await _start(wire, vm_id)
            while BANNER not in _from(log, begins):
                assert time.perf_counter() - began < BOOT_SECONDS, "the guest never said that it is up"
                await asyncio.sleep(PAUSE)
            seconds = time.perf_counter() - began
            argv[:] = _command_line(world, vm_id)
            await _force_stop(wire, vm_id)
            return seconds

        async def theirs() -> float:
            return await asyncio.to_thread(_boot_by_hand, argv)

        argv: list[str] = []
        await ours()  # makes the command line known, and the files warm
        mine, other = await in_turns(bench.rounds, ours, theirs)
    share = ratios(mine, other)
    return [
        Line(
            "P14",
            "start → guest in user space, QEMU TCG",
            f"{median(mine):.2f} s",
            f"by hand {median(other):.2f} s",
            "≤ 1.05×",
            median(share) <= 1.05,
            median(share),
            spread(share),
            "The guest's own boot under emulation; what qarax adds is P3's part.",
            {"server_seconds": mine, "by_hand_seconds": other},
        ),
        _absent("Cloud Hypervisor by hand", "≤ 1.05×", why_no_kvm() or "no binary of it here"),
        _absent(
            "virsh start", "≤ 0.6×", "libvirt is not installed" if not shutil.which("virsh") else "no domain"
        ),
    ]


def _absent(peer: str, goal: str, why: str) -> Line:
    return Line("P14", f"the same against {peer}", "–", f"{ABSENT}: {why}", goal, None)


@contextlib.asynccontextmanager
async def _real_guest(world: World) -> AsyncIterator[tuple[str, Wire]]:
    await begin(world)
    vm_id = await world.create(memory_size=GUEST_MEMORY)
    (world.state.runtime / f"{vm_id}.console.log").touch()
    async with connected(world.url) as wire:
        yield vm_id, wire


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


def _boot_by_hand(argv: list[str]) -> float:
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
