"""Deaths of processes, told by one epoll for all of them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from qarax_node.processes import Deaths, Process, identify
from tests.node.keeping import until

DESCRIPTORS = Path("/proc/self/fd")


async def _sleeper() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("sleep", "60")


def _process(child: asyncio.subprocess.Process) -> Process:
    found = identify(child.pid)
    assert found is not None
    return found


async def test_each_death_is_told_once_with_what_it_was_watched_for() -> None:
    told: list[str] = []
    deaths = Deaths(told.append)
    children = {name: await _sleeper() for name in ("one", "two", "three")}
    for name, child in children.items():
        assert deaths.watch(_process(child), name)
    for name in ("two", "one"):
        children[name].kill()
        await until(lambda name=name: name in told, what=f"the death of {name}")  # type: ignore[misc]
    assert told == ["two", "one"]
    deaths.close()
    children["three"].kill()
    for child in children.values():
        await child.wait()
    assert told == ["two", "one"]


async def test_what_is_gone_already_is_not_watched() -> None:
    told: list[str] = []
    deaths = Deaths(told.append)
    child = await _sleeper()
    gone = _process(child)
    child.kill()
    await child.wait()
    assert not deaths.watch(gone, "gone")
    alive = Process(os.getpid(), 1, gone.boot_id)
    assert not deaths.watch(alive, "another process with its pid")
    deaths.close()
    assert told == []


async def test_no_descriptor_stays() -> None:
    child = await _sleeper()
    process = _process(child)
    before = len(list(DESCRIPTORS.iterdir()))
    deaths: Deaths[str] = Deaths(lambda _: None)
    assert deaths.watch(process, "it")
    assert len(list(DESCRIPTORS.iterdir())) == before + 2
    deaths.close()
    assert len(list(DESCRIPTORS.iterdir())) == before
    child.kill()
    await child.wait()
