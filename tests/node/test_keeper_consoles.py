"""The keeper's consoles: every byte in the log, one writer for input, sockets that go and come."""

from __future__ import annotations

import pytest

from qarax_node.keeper_client import Detached, KeeperClient, KeeperError, Writer
from tests.fakes.serial_vmm import pattern
from tests.node.keeping import FakeVm, KeeperProcess, index_lines, start, until, until_async


async def rebind(vm: FakeVm) -> None:
    """The socket goes and another one comes, as when a guest reboots."""
    vm.command("unbind")
    await until(lambda: not vm.socket.exists())
    vm.command("rebind")
    await until(vm.socket.exists)


async def test_the_console_log_holds_exactly_what_the_guest_wrote(
    keeper: KeeperClient, fake_vm: FakeVm
) -> None:
    total = 20_000_000
    await start(keeper, fake_vm, total)
    await until(lambda: fake_vm.size() == total, 30)
    fake_vm.command("exit 0")
    await until(lambda: index_lines(fake_vm, "exit"))
    assert fake_vm.log.read_bytes() == pattern(0, total)
    assert [line["offset"] for line in index_lines(fake_vm, "boot")] == [0]
    assert [line["offset"] for line in index_lines(fake_vm, "exit")] == [total]


async def test_bytes_written_just_before_death_are_kept(keeper: KeeperClient, fake_vm: FakeVm) -> None:
    await start(keeper, fake_vm, 100_000)
    fake_vm.command("exit 0")
    await until(lambda: index_lines(fake_vm, "exit"))
    text = fake_vm.log.read_bytes()
    assert text == pattern(0, len(text))


async def test_a_second_boot_appends(keeper: KeeperClient, fake_vm: FakeVm) -> None:
    for boot in (1, 2):
        await start(keeper, fake_vm, 160)
        await until(lambda boot=boot: fake_vm.size() == 160 * boot)  # type: ignore[misc]
        fake_vm.command("exit 0")
        await until(lambda boot=boot: len(index_lines(fake_vm, "exit")) == boot)  # type: ignore[misc]
        fake_vm.socket.unlink()
    assert fake_vm.log.read_bytes() == pattern(0, 160) * 2
    assert [line["offset"] for line in index_lines(fake_vm, "boot")] == [0, 160]


async def test_a_socket_bound_anew_is_a_reboot(keeper: KeeperClient, fake_vm: FakeVm) -> None:
    await start(keeper, fake_vm, 160)
    await until(lambda: fake_vm.size() == 160)
    await rebind(fake_vm)
    await keeper.attach(fake_vm.vm_id, fake_vm.socket, "reboot")
    fake_vm.command("more 160")
    await until(lambda: fake_vm.size() == 320)
    assert fake_vm.log.read_bytes() == pattern(0, 320)
    assert [line["offset"] for line in index_lines(fake_vm, "reboot")] == [160]


async def test_a_vmm_that_accepts_once_more_before_it_ends_has_not_rebooted(
    keeper: KeeperClient, fake_vm: FakeVm
) -> None:
    await start(keeper, fake_vm, 160)
    await until(lambda: fake_vm.size() == 160)
    await rebind(fake_vm)
    await keeper.attach(fake_vm.vm_id, fake_vm.socket, "reboot")
    fake_vm.command("exit 0")
    await until(lambda: index_lines(fake_vm, "exit"))
    assert not index_lines(fake_vm, "reboot")


async def test_attach_says_when_the_vmm_dies_first(keeper: KeeperClient, fake_vm: FakeVm) -> None:
    argv = ["/bin/sh", "-c", "sleep 0.2; exit 3"]
    await keeper.spawn(fake_vm.vm_id, argv, cwd=fake_vm.directory, log=fake_vm.directory / "vmm.log")
    with pytest.raises(KeeperError, match="exit status 3") as refused:
        await keeper.attach(fake_vm.vm_id, fake_vm.socket, "boot")
    assert refused.value.code == "no_console"


async def test_input_has_one_writer_and_can_be_taken_over(keeper: KeeperClient, fake_vm: FakeVm) -> None:
    holders: list[Writer] = []
    keeper.on_writer.append(holders.append)
    await start(keeper, fake_vm)
    assert await keeper.input(fake_vm.vm_id, "ann", b"hello\n") == "ann"
    await until(lambda: fake_vm.log.read_bytes() == b"HELLO\n")
    with pytest.raises(KeeperError, match="ann is typing") as refused:
        await keeper.input(fake_vm.vm_id, "bob", b"x")
    assert refused.value.code == "held"
    assert await keeper.input(fake_vm.vm_id, "bob", b"mine\n", takeover=True) == "bob"
    await keeper.release(fake_vm.vm_id, "ann")
    await keeper.release(fake_vm.vm_id, "bob")
    await until(lambda: [told.holder for told in holders] == ["ann", "bob", ""])
    await until(lambda: fake_vm.log.read_bytes() == b"HELLO\nMINE\n")


async def test_a_client_that_vanishes_gives_its_claim_back(
    keeper: KeeperClient, keeper_process: KeeperProcess, fake_vm: FakeVm
) -> None:
    other = KeeperClient(keeper_process.socket)
    await other.connect()
    await other.input(fake_vm.vm_id, "gone", b"")
    await other.close()

    async def claimed() -> bool:
        try:
            return await keeper.input(fake_vm.vm_id, "next", b"") == "next"
        except KeeperError:
            return False

    await until_async(claimed)


async def test_a_console_that_the_keepers_death_ended_says_so_until_the_guest_reboots(
    keeper: KeeperClient, keeper_process: KeeperProcess, fake_vm: FakeVm
) -> None:
    lost: list[Detached] = []
    keeper.on_detached.append(lost.append)
    await start(keeper, fake_vm, 1 << 30)
    await until(lambda: fake_vm.size() > 1 << 20)
    keeper_process.stop()
    await until_async(fake_vm.is_blocked)
    keeper_process.kill()
    await until(lambda: not keeper.connected)
    keeper_process.start()
    await until(lambda: lost)
    assert "lost until the guest reboots" in lost[0].reason
    stuck = fake_vm.size()
    fake_vm.command("rebind")
    await until(lambda: fake_vm.size() > stuck)
    assert [line["offset"] for line in index_lines(fake_vm, "lost")] == [stuck, stuck]


async def test_a_console_that_does_not_come_back_is_called_lost(
    keeper: KeeperClient, fake_vm: FakeVm
) -> None:
    lost: list[Detached] = []
    keeper.on_detached.append(lost.append)
    await start(keeper, fake_vm)
    with pytest.raises(KeeperError) as refused:
        await keeper.attach(fake_vm.vm_id, fake_vm.log / "no-directory", "reboot")
    assert refused.value.code == "no_console"
    await until(lambda: lost)
    assert "lost until the guest reboots" in lost[0].reason


async def test_a_socket_that_stays_away_is_told_soon_and_followed_when_it_comes_back(
    keeper: KeeperClient, fake_vm: FakeVm
) -> None:
    lost: list[Detached] = []
    keeper.on_detached.append(lost.append)
    await start(keeper, fake_vm, 160)
    await until(lambda: fake_vm.size() == 160)
    fake_vm.command("unbind")
    await until(lambda: lost, 9)
    assert "lost until the guest reboots" in lost[0].reason
    fake_vm.command("rebind")
    await until(fake_vm.socket.exists)
    fake_vm.command("more 160")
    await until(lambda: fake_vm.size() == 320)
    assert index_lines(fake_vm, "reboot")
    assert len(lost) == 1
