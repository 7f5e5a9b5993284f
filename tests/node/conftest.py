"""Fixtures of the node's tests: a real keeper in a directory of its own, and a client of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qarax_node.keeper_client import KeeperClient
from tests.node.hosting import make_pool
from tests.node.keeping import FakeVm, KeeperProcess, kill_vmms


@pytest.fixture
def runtime_dir(tmp_path: Path) -> Path:
    made = tmp_path / "vms"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def keeper_process(runtime_dir: Path) -> Iterator[KeeperProcess]:
    keeper = KeeperProcess(runtime_dir)
    keeper.start()
    yield keeper
    keeper.kill()
    kill_vmms(runtime_dir)


@pytest.fixture
async def keeper(keeper_process: KeeperProcess) -> AsyncIterator[KeeperClient]:
    client = KeeperClient(keeper_process.socket)
    await asyncio.wait_for(client.connect(), 10)
    yield client
    await client.close()


@pytest.fixture
def fake_vm(runtime_dir: Path) -> FakeVm:
    return FakeVm(runtime_dir)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mounted = tmp_path / "small"
    mounted.mkdir(mode=0o700)
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", mounted], check=True)
    yield mounted
    subprocess.run(["umount", "-l", mounted], check=True)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return make_pool(tmp_path / "pool")
