"""The keeper killed between every two of its steps: what it acknowledged holds, and nothing runs unknown."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.keeper_client import KeeperClient, KeeperEntry, KeeperError, KeeperExit
from qarax_node.processes import Process
from tests.node.keeping import FakeVm, KeeperProcess, kill_vmms, until, until_async

DYING = Path(__file__).parent.parent / "fakes" / "dying_keeper.py"
MOST_STEPS = 400
OUTPUT_BYTES = 4096


class DyingKeeper(KeeperProcess):
    """Dies by itself before its Nth step."""

    def __init__(self, runtime_dir: Path, step: int) -> None:
        super().__init__(runtime_dir)
        self.mark = runtime_dir.parent / "died"
        self.step = step

    def start(self, **_: str) -> None:
        command = [sys.executable, str(DYING), str(self.step), str(self.mark), "--socket", str(self.socket)]
        command += ["--runtime-dir", str(self.runtime_dir)]
        with (self.runtime_dir / "keeper.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    @property
    def died(self) -> bool:
        return self.mark.exists()


class Life:
    """A VMM spawned, attached, and ended; what was acknowledged of it."""

    def __init__(self, vm: FakeVm, keeper: KeeperClient) -> None:
        self.vm = vm
        self.keeper = keeper
        self.spawned: Process | None = None

    async def lead(self) -> None:
        """Up to where the keeper dies."""
        vm = self.vm
        try:
            argv = vm.argv(OUTPUT_BYTES)
            self.spawned = await self.keeper.spawn(
                vm.vm_id, argv, cwd=vm.directory, log=vm.directory / "vmm.log"
            )
            await self.keeper.attach(vm.vm_id, vm.socket, "boot")
            await until_async(self.has_printed)
            vm.command("exit 3")
            await until_async(self.exits)
            await self.keeper.forget(vm.vm_id, remove=False)
        except KeeperError:
            return

    async def has_printed(self) -> bool:
        await self.keeper.entries()
        return self.vm.size() >= OUTPUT_BYTES

    async def exits(self) -> list[KeeperExit]:
        return [ended for ended in await self.keeper.exits(0) if ended.vm_id == self.vm.vm_id]

    async def running(self) -> list[KeeperEntry]:
        return [entry for entry in await self.keeper.entries() if entry.running]

    def alive(self) -> list[int]:
        """The processes that work in the VM's directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and processes.start_time(int(entry.name)) is not None:
                try:
                    if (entry / "cwd").readlink() == self.vm.directory:
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


@pytest.mark.parametrize(
    "stride", [pytest.param(1, marks=[pytest.mark.faults, pytest.mark.timeout(900)]), 9], ids=["each", "some"]
)
async def test_a_keeper_killed_at_any_step_leaves_nothing_unknown(tmp_path: Path, stride: int) -> None:
    for step in range(1, MOST_STEPS, stride):
        place = tmp_path / str(step)
        (place / "vms").mkdir(parents=True, mode=0o700)
        if not await dies_at(step, place / "vms"):
            assert step > 20, "the steps were counted"
            return
    pytest.fail("it never came to its end")


async def dies_at(step: int, runtime_dir: Path) -> bool:
    """One life with a keeper that dies at this step, and one after it; False when it lived to the end."""
    dying, successor = DyingKeeper(runtime_dir, step), KeeperProcess(runtime_dir)
    dying.start()
    keeper = KeeperClient(dying.socket)
    life = Life(FakeVm(runtime_dir), keeper)
    try:
        await asyncio.wait_for(keeper.connect(), 10)
        await life.lead()
        if not dying.died:
            return False
        await until(lambda: dying.process is not None and dying.process.poll() is not None)
        await until(lambda: not keeper.connected)
        successor.start()
        await asyncio.wait_for(keeper.connect(), 10)
        await until(lambda: keeper.connected)
        await holds(life, dying.mark.read_text())
        await lives_again(life)
    finally:
        await keeper.close()
        for each in (dying, successor):
            if each.process is not None:
                each.kill()
        kill_vmms(runtime_dir)
    return True


async def holds(life: Life, died_at: str) -> None:
    await until(lambda: len(life.alive()) <= 1, what=f"one process at most (died before {died_at})")

    async def known() -> bool:
        return {entry.process.pid for entry in await life.running()} == set(life.alive())

    await until_async(known)
    exits = await life.exits()
    assert len({ended.pid for ended in exits}) == len(exits), f"an exit told twice (died before {died_at})"
    assert [ended.sequence for ended in exits] == sorted({ended.sequence for ended in exits})
    if life.spawned is not None and life.spawned.pid not in life.alive():
        assert [ended.pid for ended in exits] == [life.spawned.pid], f"died before {died_at}"


async def lives_again(life: Life) -> None:
    """The one that runs ends and is known to have; then the VM starts anew."""
    before = len(await life.exits())
    if life.alive():
        await life.keeper.attach(life.vm.vm_id, life.vm.socket, "boot")
        life.vm.command("exit 0")

        async def ended() -> bool:
            return len(await life.exits()) == before + 1

        await until_async(ended)
    life.vm.socket.unlink(missing_ok=True)
    (life.vm.directory / "command").unlink(missing_ok=True)
    argv = life.vm.argv()
    again = await life.keeper.spawn(
        life.vm.vm_id, argv, cwd=life.vm.directory, log=life.vm.directory / "vmm.log"
    )
    assert [entry.process for entry in await life.running()] == [again]
