"""A reader that leaves while a thread reads for it."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from qarax_node.console.consoles import Consoles
from qarax_node.console.log import LogSource
from qarax_node.keeper.log import ConsoleLog


def open_files(path: str) -> int:
    """How many descriptors of this process lead to a file."""
    descriptors = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - names
    return sum(os.path.lexists(one) and str(one.readlink()) == path for one in descriptors)


async def test_who_leaves_while_the_file_is_opened_leaves_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LogSource(tmp_path, "vm")
    written = ConsoleLog(source.path, 1000)
    written.append(b"a line\n")
    written.close()
    reached, go_on, done = threading.Event(), threading.Event(), threading.Event()
    listed = LogSource.segments

    def held(self: LogSource) -> object:
        reached.set()
        go_on.wait(10)
        done.set()
        return listed(self)

    reading = Consoles().read("vm", source, 0, follow=True)
    monkeypatch.setattr(LogSource, "segments", held)
    waiting = asyncio.ensure_future(anext(reading))
    assert await asyncio.to_thread(reached.wait, 10)
    waiting.cancel()
    await asyncio.wait({waiting})
    go_on.set()
    await asyncio.to_thread(done.wait, 10)
    await asyncio.get_running_loop().shutdown_default_executor()  # the thread has returned
    assert open_files(source.path) == 0
