"""The console service: byte-exact by offset over rotations, live without polling, any number of readers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qarax_node.console.consoles import Consoles
from qarax_node.console.log import LogSource
from qarax_node.console.pieces import Data, Gap, Mark, Piece
from qarax_node.keeper import index
from qarax_node.keeper.log import ConsoleLog
from qarax_node.keeper_client import KeeperClient
from tests.fakes.serial_vmm import pattern
from tests.node.keeping import FakeVm, KeeperProcess, fill, kill_vmms, until, until_async

VM = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def log(runtime_dir: Path) -> ConsoleLog:
    return ConsoleLog(str(runtime_dir / f"{VM}.console.log"), 1000)


@pytest.fixture
def source(runtime_dir: Path) -> LogSource:
    return LogSource(runtime_dir, VM)


async def read_all(source: LogSource, position: int, limit: int = 0) -> list[Piece]:
    pieces = Consoles().read(VM, source, position, follow=False, limit=limit)
    return [piece async for piece in pieces]


def bytes_of(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces if isinstance(piece, Data))


def gaps_of(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(piece.offset, piece.bytes) for piece in pieces if isinstance(piece, Gap)]


def is_contiguous(pieces: list[Piece]) -> bool:
    """Each piece of data begins where the one before it ended."""
    place = None
    for piece in pieces:
        if isinstance(piece, Gap):
            place = piece.offset + piece.bytes
        elif isinstance(piece, Data):
            if place is not None and piece.offset != place:
                return False
            place = piece.offset + len(piece.data)
    return True


async def test_every_offset_gives_the_bytes_from_there_over_a_rotation(
    log: ConsoleLog, source: LogSource
) -> None:
    text = pattern(0, 1700)
    for start in range(0, 1700, 100):
        log.append(text[start : start + 100])
    assert source.bounds() == (0, 1700)
    for position in (0, 1, 999, 1000, 1001, 1699, 1700):
        pieces = await read_all(source, position)
        assert bytes_of(pieces) == text[position:]
        assert is_contiguous(pieces)
    assert bytes_of(await read_all(source, 950, 100)) == text[950:1050]


async def test_what_two_rotations_dropped_is_a_gap(log: ConsoleLog, source: LogSource) -> None:
    text = pattern(0, 2600)
    for start in range(0, 2600, 100):
        log.append(text[start : start + 100])
    pieces = await read_all(source, 500)
    assert gaps_of(pieces) == [(500, 500)]
    assert bytes_of(pieces) == text[1000:]
    assert [piece.kind for piece in pieces if isinstance(piece, Mark)].count("rotation") == 2


async def test_tail_by_lines(log: ConsoleLog, source: LogSource) -> None:
    log.append(b"".join(b"%d\n" % number for number in range(400)))
    for lines, text in ((1, b"399\n"), (3, b"397\n398\n399\n"), (0, b"")):
        assert bytes_of(await read_all(source, source.tail(lines))) == text
    log.append(b"half a line")
    assert bytes_of(await read_all(source, source.tail(1))) == b"half a line"
    assert source.tail(10_000) == source.bounds()[0]


async def test_marks_come_between_the_bytes_they_belong_to(log: ConsoleLog, source: LogSource) -> None:
    log.mark("boot", "")
    log.append(b"first")
    log.mark("reboot", "the guest rebooted")
    log.append(b"second")
    shown = [
        piece.data if isinstance(piece, Data) else piece.kind
        for piece in await read_all(source, 0)
        if not (isinstance(piece, Mark) and piece.kind == "time") and not isinstance(piece, Gap)
    ]
    assert shown == ["boot", b"first", "reboot", b"second"]


@pytest.mark.parametrize("how", ["rename", "delete", "truncate", "truncate_half"])
async def test_a_log_changed_by_others_goes_on_and_repeats_nothing(
    log: ConsoleLog, source: LogSource, how: str
) -> None:
    path = Path(source.path)
    log.append(b"before--")
    reader = source.reader(0)
    seen = bytes_of(reader.read())
    if how == "rename":
        path.rename(path.with_suffix(".old"))
    elif how == "delete":
        path.unlink()
    else:
        os.truncate(path, 4 if how == "truncate_half" else 0)
    assert reader.read() == []
    log.append(b"after")
    later = reader.read()
    reader.close()
    assert (seen, bytes_of(later)) == (b"before--", b"after")
    assert "lost" in [piece.kind for piece in later if isinstance(piece, Mark)]
    assert source.bounds()[1] == len(b"before--after")
    again = ConsoleLog(source.path, 1000)
    assert again.end == len(b"before--after")


async def test_bytes_appended_by_somebody_else_are_counted(log: ConsoleLog, source: LogSource) -> None:
    log.append(b"ours")
    with Path(source.path).open("ab") as other:
        other.write(b"theirs")
    log.append(b"ours")
    assert bytes_of(await read_all(source, 0)) == b"ourstheirsours"


async def test_offsets_go_on_after_the_log_and_its_keeper_are_gone(
    log: ConsoleLog, source: LogSource
) -> None:
    log.append(b"0123456789")
    log.mark("exit", "")
    log.close()
    Path(source.path).unlink()
    again = ConsoleLog(source.path, 1000)
    assert again.end == 10
    again.append(b"more")
    assert source.bounds() == (10, 14)


async def test_the_index_stays_small_under_a_trickle(log: ConsoleLog, source: LogSource) -> None:
    log.append(b"x")
    lines: list[index.Line] = [
        {"offset": 1, "time": float(second), "kind": "time", "text": "y" * 400} for second in range(4000)
    ]
    index.append(source.index, lines)
    log.mark("boot", "kept")
    kept = index.read(source.index)
    assert len(kept) <= 5000
    assert Path(source.index).stat().st_size <= 2 << 20
    assert [line["text"] for line in kept if line["kind"] == "boot"] == ["kept"]


async def test_a_torn_index_line_is_skipped_and_closed(log: ConsoleLog, source: LogSource) -> None:
    log.append(b"abc")
    with Path(source.index).open("ab") as torn:
        torn.write(b'{"offset": 3, "ki')
    log.mark("boot", "after the crash")
    assert [line["kind"] for line in index.read(source.index)][-1] == "boot"
    assert bytes_of(await read_all(source, 0)) == b"abc"


class Following:
    """A live reader collecting what it gets."""

    def __init__(self, consoles: Consoles, source: LogSource, vm_id: str, position: int = 0) -> None:
        self.pieces: list[Piece] = []
        self.task = asyncio.create_task(self._follow(consoles, source, vm_id, position))

    async def _follow(self, consoles: Consoles, source: LogSource, vm_id: str, position: int) -> None:
        async with contextlib.aclosing(consoles.read(vm_id, source, position, follow=True)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                self.pieces.append(piece)

    def size(self) -> int:
        return sum(len(piece.data) for piece in self.pieces if isinstance(piece, Data))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@pytest.fixture
async def consoles(keeper: KeeperClient) -> AsyncIterator[Consoles]:
    made = Consoles()
    keeper.on_console.append(lambda grown: made.grew(grown.vm_id))
    keeper.on_connected.append(made.wake_all)
    yield made
    assert made.followers == 0


async def test_many_live_readers_get_every_byte_and_leave_nothing(
    keeper: KeeperClient, consoles: Consoles, fake_vm: FakeVm, runtime_dir: Path
) -> None:
    total = 2_000_000
    source = LogSource(runtime_dir, fake_vm.vm_id)
    before = len(list(Path("/proc/self/fd").iterdir()))
    readers = [Following(consoles, source, fake_vm.vm_id) for _ in range(100)]
    await keeper.spawn(
        fake_vm.vm_id, fake_vm.argv(total), cwd=fake_vm.directory, log=fake_vm.directory / "vmm.log"
    )
    await keeper.attach(fake_vm.vm_id, fake_vm.socket, "boot")
    await until(lambda: all(reader.size() == total for reader in readers), 30)
    text = pattern(0, total)
    for reader in readers:
        await reader.stop()
        assert bytes_of(reader.pieces) == text
        assert is_contiguous(reader.pieces)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_a_reader_goes_on_over_the_death_of_the_keeper(
    keeper: KeeperClient, keeper_process: KeeperProcess, consoles: Consoles, fake_vm: FakeVm
) -> None:
    reader = Following(consoles, LogSource(keeper_process.runtime_dir, fake_vm.vm_id), fake_vm.vm_id)
    argv = fake_vm.argv(1600)
    await keeper.spawn(fake_vm.vm_id, argv, cwd=fake_vm.directory, log=fake_vm.directory / "vmm.log")
    await keeper.attach(fake_vm.vm_id, fake_vm.socket, "boot")
    await until(lambda: reader.size() == 1600)
    keeper_process.kill()
    await until(lambda: not keeper.connected)
    keeper_process.start()
    await until(lambda: keeper.connected)
    fake_vm.command("more 1600")
    await until(lambda: reader.size() == 3200)
    await reader.stop()
    assert bytes_of(reader.pieces) == pattern(0, 3200)
    assert "lost" in [piece.kind for piece in reader.pieces if isinstance(piece, Mark)]


async def test_a_reader_too_slow_for_a_flood_gets_a_gap_and_the_newest_bytes(runtime_dir: Path) -> None:
    log = ConsoleLog(str(runtime_dir / f"{VM}.console.log"), 64 << 20)
    source, consoles = LogSource(runtime_dir, VM), Consoles()
    log.append(b"start")
    pieces = aiter(consoles.read(VM, source, 0, follow=True))
    while not isinstance(await anext(pieces), Data):
        continue
    waiting = asyncio.ensure_future(anext(pieces))
    await until(lambda: consoles.followers == 1 and not waiting.done())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.2)
    block = bytes(1 << 20)
    for _ in range(20):
        log.append(block)
    end = log.end
    consoles.grew(VM)
    gap = await waiting
    while not isinstance(gap, Gap):
        gap = await anext(pieces)
    assert "too slow" in gap.reason
    assert gap.offset + gap.bytes == end - (1 << 16)
    await pieces.aclose()  # type: ignore[attr-defined]


async def test_a_full_disk_marks_a_gap_and_the_guest_goes_on(tmp_path: Path, small_disk: Path) -> None:
    keeper_process = KeeperProcess(small_disk)
    keeper_process.start()
    keeper = KeeperClient(keeper_process.socket)
    vm = FakeVm(small_disk, tmp_path / "vm")
    try:
        await keeper.connect()
        await keeper.spawn(vm.vm_id, vm.argv(160), cwd=vm.directory, log=vm.directory / "vmm.log")
        await keeper.attach(vm.vm_id, vm.socket, "boot")
        await until(lambda: vm.size() == 160)
        fill(small_disk / "ballast")
        vm.command("more 1000000")
        await until_async(lambda: _has_sent(vm, 1_000_160))
        assert vm.size() < 1_000_160
        (small_disk / "ballast").unlink()
        vm.command("more 160")
        await until(lambda: _gaps(vm))
        await until(lambda: vm.log.read_bytes().endswith(pattern(1_000_160, 160)))
        pieces = await read_all(LogSource(small_disk, vm.vm_id), 0)
        missing = sum(length for _, length in gaps_of(pieces))
        assert len(bytes_of(pieces)) + missing == 1_000_320
        assert gaps_of(pieces)[0][1] > 900_000
    finally:
        await keeper.close()
        keeper_process.kill()
        kill_vmms(vm.directory)


async def _has_sent(vm: FakeVm, count: int) -> bool:
    return await vm.sent() == count


def _gaps(vm: FakeVm) -> list[index.Line]:
    return [line for line in index.read(str(vm.index)) if line["kind"] == "gap"]
