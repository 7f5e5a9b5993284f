"""The keeper with real processes and sockets: spawn, exits, consoles, and what it survives."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.keeper_client import KeeperClient, KeeperError, KeeperExit
from tests.fakes.serial_vmm import pattern
from tests.node.keeping import FakeVm, KeeperProcess, index_lines, start, until


async def test_a_vmm_has_its_own_session_a_private_umask_and_the_descriptors_from_three(
    keeper: KeeperClient, fake_vm: FakeVm
) -> None:
    script = "umask; echo $(readlink /proc/self/fd/0); cat <&3; cat <&4; ps -o sid= -p $$; exec sleep 60"
    readers = []
    for text in (b"third\n", b"fourth\n"):
        read, write = os.pipe()
        os.write(write, text)
        os.close(write)
        readers.append(read)
    log = fake_vm.directory / "vmm.log"
    process = await keeper.spawn(
        fake_vm.vm_id, ["/bin/sh", "-c", script], cwd=fake_vm.directory, log=log, fds=readers
    )
    for read in readers:
        os.close(read)
    await until(lambda: log.exists() and len(log.read_text().splitlines()) == 5)
    assert [line.strip() for line in log.read_text().splitlines()] == [
        "0077",
        "/dev/null",
        "third",
        "fourth",
        str(process.pid),
    ]
    open_fds = {entry.name for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
    assert open_fds == {"0", "1", "2", "3", "4"}
    assert processes.is_alive(process)


async def test_what_cannot_be_executed_is_refused_and_leaves_nothing(
    keeper: KeeperClient, fake_vm: FakeVm, runtime_dir: Path
) -> None:
    with pytest.raises(KeeperError, match="No such file") as refused:
        await keeper.spawn(fake_vm.vm_id, ["/no/such"], cwd=fake_vm.directory, log=fake_vm.directory / "l")
    assert refused.value.code == "spawn_failed"
    assert list((runtime_dir / "keeper/processes").iterdir()) == []
    assert await keeper.exits(0) == []
    await start(keeper, fake_vm)


async def test_one_vmm_per_vm(keeper: KeeperClient, fake_vm: FakeVm) -> None:
    await start(keeper, fake_vm)
    with pytest.raises(KeeperError) as refused:
        await start(keeper, fake_vm)
    assert refused.value.code == "running"


async def test_exits_are_told_with_their_status_and_kept(keeper: KeeperClient, runtime_dir: Path) -> None:
    seen: list[KeeperExit] = []
    keeper.on_exit.append(seen.append)
    first, second = FakeVm(runtime_dir), FakeVm(runtime_dir)
    await start(keeper, first)
    await start(keeper, second)
    first.command("exit 7")
    await until(lambda: len(seen) == 1)
    second.command("kill")
    await until(lambda: len(seen) == 2)
    assert os.waitstatus_to_exitcode(seen[0].status or 0) == 7
    assert os.waitstatus_to_exitcode(seen[1].status or 0) == -signal.SIGKILL
    assert await keeper.exits(0) == seen
    assert await keeper.exits(seen[0].sequence) == seen[1:]
    assert list((runtime_dir / "keeper/processes").iterdir()) == []


async def test_kill_of_the_node_loses_no_byte(keeper_process: KeeperProcess, fake_vm: FakeVm) -> None:
    total = 30_000_000
    first = KeeperClient(keeper_process.socket)
    await first.connect()
    await start(first, fake_vm, total)
    await until(lambda: fake_vm.size() > 0)
    await first.close()
    second = KeeperClient(keeper_process.socket)
    await second.connect()
    await second.attach(fake_vm.vm_id, fake_vm.socket, "boot")
    await until(lambda: fake_vm.size() == total, 30)
    await second.close()
    assert fake_vm.log.read_bytes() == pattern(0, total)


async def test_a_stopped_keeper_loses_no_byte_and_no_guest(
    keeper: KeeperClient, keeper_process: KeeperProcess, fake_vm: FakeVm
) -> None:
    total = 30_000_000
    process = await start(keeper, fake_vm, total)
    await until(lambda: fake_vm.size() > 0)
    assert keeper_process.terminate() == 0
    stopped_at = fake_vm.size()
    assert stopped_at < total, "the flood ended before the keeper did: nothing was shown"
    assert processes.is_alive(process)
    keeper_process.start()
    await until(lambda: fake_vm.size() == total, 30)
    assert fake_vm.log.read_bytes() == pattern(0, total)
    assert [line["offset"] for line in index_lines(fake_vm, "lost")] == [stopped_at]


async def test_a_killed_keeper_leaves_guests_alive_and_calls_their_ends_inferred(
    keeper: KeeperClient, keeper_process: KeeperProcess, runtime_dir: Path
) -> None:
    lives, ends = FakeVm(runtime_dir), FakeVm(runtime_dir)
    living = await start(keeper, lives, 160)
    ending = await start(keeper, ends)
    await until(lambda: lives.size() == 160)
    keeper_process.kill()
    ends.command("exit 0")
    assert await processes.wait_gone(ending, 10)
    await until(lambda: not keeper.connected)
    keeper_process.start()
    await until(lambda: keeper.connected)
    exits = await keeper.exits(0)
    assert [(record.vm_id, record.status) for record in exits] == [(ends.vm_id, None)]
    assert processes.is_alive(living)
    await until(lambda: index_lines(lives, "lost"))
    lives.command("more 160")
    await until(lambda: lives.size() == 320)
    seen: list[KeeperExit] = []
    keeper.on_exit.append(seen.append)
    lives.command("exit 5")
    await until(lambda: seen)
    assert (seen[0].vm_id, seen[0].status, seen[0].sequence) == (lives.vm_id, None, 2)


async def test_a_changed_boot_id_ends_every_record(
    keeper: KeeperClient, keeper_process: KeeperProcess, fake_vm: FakeVm
) -> None:
    process = await start(keeper, fake_vm)
    keeper_process.kill()
    await until(lambda: not keeper.connected)
    keeper_process.start(QARAX_BOOT_ID="another")
    await until(lambda: keeper.connected)
    assert [record.status for record in await keeper.exits(0)] == [None]
    assert processes.is_alive(process)


async def test_one_keeper_per_directory(keeper: KeeperClient, keeper_process: KeeperProcess) -> None:
    second = KeeperProcess(keeper_process.runtime_dir)
    second.start()
    assert second.process is not None
    assert await asyncio.to_thread(second.process.wait, 10) == 1
    assert "another keeper" in (keeper_process.runtime_dir / "keeper.log").read_text()
    assert keeper.connected


async def test_nonsense_and_hostile_sizes_harm_nobody(
    keeper: KeeperClient, keeper_process: KeeperProcess, fake_vm: FakeVm
) -> None:
    frames = [
        b"\xff\xff\xff\xff",
        b"\0\0\0\x02[]",
        b"\0\0\0\x03{x}",
        b"\0\0\x00\x10{",
        b"\0\x0f\xff\xff" + b"[" * 0xFFFFF,
        os.urandom(5000),
    ]
    for frame in frames:
        with socket.socket(socket.AF_UNIX) as hostile:
            hostile.connect(str(keeper_process.socket))
            hostile.sendall(frame)
    for wrong in ("../../etc", "", "a/b"):
        with pytest.raises(KeeperError) as refused:
            await keeper.hint(wrong, "x", "y")
        assert refused.value.code == "bad_request"
    await start(keeper, fake_vm)


async def test_forget_removes_the_log_and_refuses_while_the_vmm_lives(
    keeper: KeeperClient, fake_vm: FakeVm
) -> None:
    process = await start(keeper, fake_vm, 160)
    await until(lambda: fake_vm.size() == 160)
    with pytest.raises(KeeperError) as refused:
        await keeper.forget(fake_vm.vm_id, remove=True)
    assert refused.value.code == "running"
    processes.send_signal(process, signal.SIGKILL)
    await until(lambda: index_lines(fake_vm, "exit"))
    await keeper.forget(fake_vm.vm_id, remove=True)
    assert not fake_vm.log.exists()
    assert not fake_vm.index.exists()
    assert await keeper.entries() == []
