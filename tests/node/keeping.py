"""A real keeper and VMMs reduced to their serial socket, as the node's tests use them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from qarax_node import processes
from qarax_node.keeper_client import KeeperClient

VMM = Path(__file__).parent.parent / "fakes" / "serial_vmm.py"


async def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "the condition") -> None:
    """Wait until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true in {seconds} s")
        await asyncio.sleep(0.01)


async def until_async(condition: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    """Wait until what `condition()` returns is true."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            pytest.fail(f"the condition did not come true in {seconds} s")
        await asyncio.sleep(0.01)


class KeeperProcess:
    """A keeper, started, killed and started again as a test likes."""

    def __init__(self, runtime_dir: Path, cap: int | None = None) -> None:
        self.runtime_dir = runtime_dir
        self.socket = runtime_dir / "keeper.sock"
        self.cap = cap
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, **environment: str) -> None:
        command = [sys.executable, "-m", "qarax_node.keeper", "--socket", str(self.socket)]
        command += ["--runtime-dir", str(self.runtime_dir)]
        if self.cap is not None:
            command += ["--log-cap-bytes", str(self.cap)]
        with (self.runtime_dir / "keeper.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environment}, start_new_session=True
            )

    def stop(self) -> None:
        """Have it read nothing more (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)


def fill(path: Path) -> None:
    """Take all the room that is left on a file system."""
    with path.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))


def kill_vmms(runtime_dir: Path) -> None:
    """End every VMM that a test left: those whose working directory lies below its runtime directory."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(runtime_dir) in str((entry / "cwd").readlink()):
                    os.kill(int(entry.name), 9)
            except OSError:
                continue


class FakeVm:
    """A directory with a `serial_vmm.py` in it."""

    def __init__(self, runtime_dir: Path, directory: Path | None = None) -> None:
        self.vm_id = str(uuid.uuid4())
        self.directory = directory or runtime_dir / self.vm_id
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self.socket = self.directory / "serial.sock"
        self.log = runtime_dir / f"{self.vm_id}.console.log"
        self.index = runtime_dir / f"{self.vm_id}.console.index"

    def argv(self, total: int = 0, speed: int = 1 << 16) -> list[str]:
        words = ["--bytes", str(total), "--speed", str(speed), "--id", self.vm_id]
        return [sys.executable, "-S", str(VMM), *words]

    def command(self, text: str) -> None:
        path = self.directory / "command.new"
        path.write_text(text)
        path.rename(self.directory / "command")

    async def sent(self) -> int:
        """How many bytes the guest has got rid of."""
        report = self.directory / "report"
        report.unlink(missing_ok=True)
        await until(lambda: not (self.directory / "command").exists())
        self.command("report")
        await until(lambda: report.exists() and report.read_text())
        return int(report.read_text())

    async def is_blocked(self) -> bool:
        """Whether the guest gets rid of nothing any more."""
        return await self.sent() == await self.sent()

    def size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0


async def start(keeper: KeeperClient, vm: FakeVm, total: int = 0, speed: int = 1 << 16) -> processes.Process:
    """Spawn its VMM and attach its console."""
    process = await keeper.spawn(
        vm.vm_id, vm.argv(total, speed), cwd=vm.directory, log=vm.directory / "vmm.log"
    )
    await keeper.attach(vm.vm_id, vm.socket, "boot")
    return process


def index_lines(vm: FakeVm, kind: str) -> list[dict[str, object]]:
    """What the index says of this kind."""
    lines = [json.loads(line) for line in vm.index.read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]
