"""F21 at keeper and node: whatever a guest prints is kept and served byte by byte, up to the log's cap."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qarax_node.console.consoles import Consoles
from qarax_node.console.log import LogSource
from qarax_node.console.pieces import Data
from qarax_node.keeper_client import KeeperClient
from tests.node.keeping import FakeVm, KeeperProcess, kill_vmms, until_async

MIB = 1 << 20
CAP = 40 * MIB
LINE_BYTES = 100 * MIB
HOSTILE = b"\xff\xfe\xc3\x28\xed\xa0\x80\x1b]52;c;AAAA\x07\x9b2J"
TELLER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind("serial.sock")
listener.listen(1)
client, _ = listener.accept()
with open("told", "rb") as told:
    client.sendfile(told)
client.recv(1)
"""


@pytest.fixture
def keeper_process(runtime_dir: Path) -> Iterator[KeeperProcess]:
    made = KeeperProcess(runtime_dir, CAP)
    made.start()
    yield made
    made.kill()
    kill_vmms(runtime_dir)


async def test_f21_bytes_that_are_no_text_are_kept_and_served_as_they_are(
    runtime_dir: Path, keeper_process: KeeperProcess, keeper: KeeperClient
) -> None:
    """A line without an end, every byte value, invalid UTF-8: the log is exact up to its cap."""
    assert keeper_process.runtime_dir == runtime_dir
    told = bytes(range(256)) * 64 + HOSTILE + b"x" * LINE_BYTES
    vm = FakeVm(runtime_dir)
    (vm.directory / "told").write_bytes(told)
    await keeper.spawn(
        vm.vm_id,
        [sys.executable, "-S", "-c", TELLER, vm.vm_id],
        cwd=vm.directory,
        log=vm.directory / "vmm.log",
    )
    await keeper.attach(vm.vm_id, vm.socket, "boot")

    async def written() -> bool:
        (entry,) = await keeper.entries()
        return entry.end >= len(told)

    await until_async(written, 60)
    (entry,) = await keeper.entries()
    older = vm.log.with_name(f"{vm.log.name}.1")
    kept = older.read_bytes() + vm.log.read_bytes()
    assert kept == told[entry.oldest :]
    assert CAP <= len(kept) <= 2 * CAP + MIB
    source, consoles = LogSource(runtime_dir, vm.vm_id), Consoles()
    place = entry.oldest
    async for piece in consoles.read(vm.vm_id, source, place, follow=False):
        if isinstance(piece, Data):
            assert (piece.offset, piece.data) == (place, told[place : place + len(piece.data)])
            place += len(piece.data)
    assert place == len(told)
