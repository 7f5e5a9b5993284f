"""A control plane of many VMs that change all the time, as a process: `busy_plane.py VMS CHANGES_A_SECOND`.

Prints its address; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

from tests.fakes.control_plane import ControlPlane

STATUSES = itertools.cycle(["running", "paused", "shutdown"])


async def main(count: int, rate: int) -> None:
    plane = ControlPlane()
    hosts = [plane.add("host", silently=True, name=f"host-{n:03}", status="up") for n in range(100)]
    ids = [
        plane.add("vm", silently=True, name=f"vm-{n:05}", host_id=hosts[n % 100], status="running")
        for n in range(count)
    ]
    async with plane:
        sys.stdout.write(f"{plane.url}\n")
        sys.stdout.flush()
        closed = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        following, started, done = itertools.cycle(ids), time.monotonic(), 0
        while not closed.done():
            due = int((time.monotonic() - started) * rate)
            for _ in range(due - done):
                plane.change("vm", next(following), status=next(STATUSES))
            done = due
            del plane.events[:-20_000]
            await asyncio.sleep(0.01)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
