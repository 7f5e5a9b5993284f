"""Consoles under a flood: a slow reader, ten minutes of lines, a line of 100 MB: F20, F21."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import socket
import time
from dataclasses import replace
from typing import Self

import pytest

from tests.faults.conftest import PARTS, Scenario
from tests.faults.console import Follower
from tests.faults.test_consoles import log_of, memory
from tests.faults.world import World
from tests.server.running import until

pytestmark = pytest.mark.faults
FLOOD, LINE = 1_000_000, 64
SMALL_CAP, SLOW_BUFFERS = 8 << 20, 256 << 10
LINES_PER_SECOND, MINUTES = 10_000, 10
NO_UTF8 = b"\xff\xfe\xc0\x80\xed\xa0\x80\xf8\n"


async def test_f20_a_slow_reader_under_a_flood(bare: World, scenario: Scenario) -> None:
    world = bare
    keeper = world.service("keeper")
    capped = [*keeper.command, "--log-cap-bytes", str(SMALL_CAP)]
    await world.launch("keeper", replace(keeper, command=capped))
    for name in ("node", "server"):
        await world.start(name)
    await world.add_host()
    async with scenario(world, "F20", f"1 KB/s reader, a fast one, {FLOOD:,} lines, cap 8 MiB") as row:
        vm_id = await world.run_vm(boot_source_id=await world.boot_source(f"flood={FLOOD}"))
        world.watch_guests()
        slow, fast = SlowReader(world, vm_id), Follower(world, vm_id)
        began = time.monotonic()
        async with slow, fast:
            await until(lambda: fast.has(2 << 20), 60)
            before = {part: memory(world, part) for part in ("server", "node")}
            await until(lambda: _flooded(world, vm_id), 240)
            await until(lambda: _read_all(fast), 60)
            seconds = time.monotonic() - began
            after = {part: memory(world, part) for part in ("server", "node")}
            taken = len(slow.seen)
            await until(slow.is_told_of_a_gap, 60)
        grown = {part: (after[part] - before[part]) >> 20 for part in before}
        assert max(grown.values()) <= 64, grown
        assert taken <= seconds * 4096 + SLOW_BUFFERS, "it was not slow"
        assert fast.backwards == 0
        assert fast.end >= FLOOD * LINE
        row.outcome = (
            f"fast {fast.end / seconds / 1e6:.1f} MB/s ({len(fast.gaps)} gaps), slow "
            f"{taken / seconds / 1e3:.1f} KB/s, then told of its gap; memory grew {grown} MiB"
        )


class SlowReader:
    """A console over a bare socket with a small buffer, read 1 KB a second until `is_told_of_a_gap`."""

    def __init__(self, world: World, vm_id: str) -> None:
        self.seen = bytearray()
        self._port, self._path = world.server_port, f"/vms/{vm_id}/console?from=0&follow=true"
        self._socket = socket.socket()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        request = (
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        )
        await loop.sock_sendall(self._socket, request.encode())
        self._tasks.append(asyncio.create_task(self._sip()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end_sipping()
        self._socket.close()

    async def _sip(self) -> None:
        while True:
            self.seen += await asyncio.get_running_loop().sock_recv(self._socket, 1024)
            await asyncio.sleep(1)  # the scenario itself

    async def _end_sipping(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def is_told_of_a_gap(self) -> bool:
        """From here on it reads as fast as it can."""
        await self._end_sipping()
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while data := await loop.sock_recv(self._socket, 1 << 20):
                    self.seen += data
        return re.search(rb'"type": ?"gap"[^}]*"bytes": ?[1-9]', self.seen) is not None


async def _flooded(world: World, vm_id: str) -> bool:
    """Whether the console has stopped growing; while its log is being rotated there is none."""
    before = _size(world, vm_id)
    await asyncio.sleep(1)
    return before is not None and before == _size(world, vm_id)


def _size(world: World, vm_id: str) -> tuple[int, int] | None:
    try:
        log = log_of(world, vm_id).stat()
    except FileNotFoundError:
        return None
    return log.st_ino, log.st_size


async def _read_all(console: Follower) -> bool:
    end = console.end
    await asyncio.sleep(1)
    return console.end == end


async def test_f21_the_console_is_byte_exact(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F21", "100,000 lines, plain GET and WebSocket") as row:
        vm_id = await world.run_vm(boot_source_id=await world.boot_source("flood=100000"))
        world.watch_guests()
        async with Follower(world, vm_id) as console:
            await until(lambda: _flooded(world, vm_id), 120)
            await until(lambda: console.has_all_of(vm_id), 60)
        kept = log_of(world, vm_id).read_bytes()
        async with world.session.get(f"{world.url}/vms/{vm_id}/console?oldest=true") as response:
            plain = await response.read()
        assert response.status == 200
        assert plain == kept
        row.outcome = f"{len(kept)} bytes exact on both ways; keys in the dashboard: tests/tui/terminal"


@pytest.mark.timeout(1500)
async def test_f21_ten_minutes_of_lines(world: World, scenario: Scenario) -> None:
    """The reader counts: each line carries the next number, and nothing is told twice or left out."""
    async with scenario(world, "F21", f"{LINES_PER_SECOND:,} lines/s for {MINUTES} min") as row:
        vm_id = await world.run_vm(boot_source_id=await world.boot_source(f"ticker={LINES_PER_SECOND}"))
        world.watch_guests()
        async with Ticks(world, vm_id) as ticks:
            await asyncio.sleep(60)  # what is taken in the first minute is not counted as growth
            before = {part: memory(world, part) for part in PARTS}
            await asyncio.sleep(60 * (MINUTES - 1))
            after = {part: memory(world, part) for part in PARTS}
            await until(lambda: ticks.has_counted(int(LINES_PER_SECOND * 60 * MINUTES * 0.98)), 60)
        grown = {part: (after[part] - before[part]) >> 20 for part in before}
        assert (ticks.wrong, ticks.gaps, ticks.backwards) == ([], [], 0)
        assert max(grown.values()) <= 50, grown
        await world.ok("POST", f"/vms/{vm_id}/stop?grace=0")
        world.expect_ended(vm_id)
        row.outcome = f"{ticks.next:,} lines in order, {ticks.end >> 20} MiB; memory grew {grown} MiB"


class Ticks(Follower):
    """Reads numbered lines and keeps none of them. `next` is the number it waits for."""

    next = 0

    def __init__(self, world: World, vm_id: str) -> None:
        super().__init__(world, vm_id)
        self.wrong: list[bytes] = []

    async def has_counted(self, count: int) -> bool:
        return self.next >= count

    def take(self, data: bytes) -> None:
        super().take(data)
        *lines, rest = bytes(self.seen).split(b"\n")
        self.seen[:] = rest
        for line in lines:
            if b"tick " in line:
                number = int(line[line.index(b"tick ") + 5 :].split()[0])
                if number != self.next:
                    self.wrong.append(line)
                self.next = number + 1


@pytest.mark.timeout(600)
async def test_f21_a_line_of_100_mb_and_bytes_that_are_no_text(world: World, scenario: Scenario) -> None:
    async with scenario(world, "F21", "a 100 MB line, 4 MiB of random bytes, invalid UTF-8") as row:
        poured = b"x" * 100_000_000 + b"\n" + os.urandom(4 << 20) + NO_UTF8 * 1000
        path = world.state.path / "poured"
        path.write_bytes(poured)
        vm_id = await world.run_vm(boot_source_id=await world.boot_source(f"pour={path}"))
        world.watch_guests()
        before = {part: memory(world, part) for part in PARTS}
        async with Follower(world, vm_id, thorough=True) as console:
            await until(lambda: console.has(len(poured)), 240)
            await until(lambda: _read_all(console), 60)
            grown = {part: (memory(world, part) - before[part]) >> 20 for part in PARTS}
        assert (console.gaps, console.backwards) == ([], 0)
        assert poured in console.seen
        log = log_of(world, vm_id)
        kept = b"".join(each.read_bytes() for each in (log.with_suffix(".log.1"), log) if each.exists())
        assert console.seen.endswith(kept)
        assert max(grown.values()) <= 50, grown
        row.outcome = f"{console.end:,} bytes exact to the reader, {len(kept):,} in the files; {grown} MiB"
