"""A VM being made while whoever asked for it goes away, asks again, or wants it gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qarax_node import files
from qarax_node.machines.host import Host
from tests.node.hosting import hosting, make_pool
from tests.node.keeping import KeeperProcess
from tests.node.serving import new_id, vm_spec


class SlowDisk:
    """Every file that is written waits until `go_on` is set; `reached` when one does."""

    def __init__(self, write: Any) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.at_once, self.most_at_once = 0, 0
        self._write = write

    def write_json(self, *words: Any, **options: Any) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.reached.set()
        assert self.go_on.wait(20)
        self._write(*words, **options)
        self.at_once -= 1


@pytest.fixture
async def host(keeper_process: KeeperProcess) -> AsyncIterator[Host]:
    async with hosting(keeper_process) as host:
        yield host


@pytest.fixture
def disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    assert host.machines() == []  # and it has written its own files
    slow = SlowDisk(files.write_json)
    monkeypatch.setattr(files, "write_json", slow.write_json)
    return slow


async def cancelled(host: Host, disk: SlowDisk, vm_id: str, wanted: Any) -> None:
    """A create whose asker goes away while its spec is being written."""
    asked = asyncio.create_task(host.create(vm_id, wanted, preflight_only=False))
    assert await asyncio.to_thread(disk.reached.wait, 20)
    asked.cancel()
    await asyncio.wait({asked})


async def test_a_create_whose_asker_goes_away_is_one_vm(host: Host, disk: SlowDisk, tmp_path: Path) -> None:
    vm_id, wanted = new_id(), vm_spec(make_pool(tmp_path / "pool"))
    await cancelled(host, disk, vm_id, wanted)
    again = asyncio.create_task(host.create(vm_id, wanted, preflight_only=False))
    disk.go_on.set()
    made = await again
    assert made is host.get(vm_id)
    assert disk.most_at_once == 1
    assert made.record.spec() == wanted


async def test_a_delete_waits_for_the_create_and_leaves_nothing(
    host: Host, disk: SlowDisk, tmp_path: Path
) -> None:
    vm_id = new_id()
    await cancelled(host, disk, vm_id, vm_spec(make_pool(tmp_path / "pool")))
    gone = asyncio.create_task(host.delete(vm_id))
    disk.go_on.set()
    await gone
    assert host.find(vm_id) is None
    assert not (host.settings.runtime_dir / vm_id).exists()
