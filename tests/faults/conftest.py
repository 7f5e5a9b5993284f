"""The worlds of the scenarios, and how one is played."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable

import pytest

from tests.faults import invariants
from tests.faults.table import Row
from tests.faults.world import CLOUD_HYPERVISOR, QEMU, World, world_on
from tests.guest_image import GuestImage
from tests.postgres import TestServer

PARTS = ("keeper", "node", "server")


Scenario = Callable[..., "contextlib.AbstractAsyncContextManager[Row]"]


@pytest.fixture
async def bare(postgres: TestServer) -> AsyncIterator[World]:
    """A place for a control plane with stand-in VMMs; nothing runs yet."""
    async with world_on(postgres, CLOUD_HYPERVISOR) as world:
        yield world


@pytest.fixture
async def world(bare: World) -> World:
    """A control plane with one host, `host-1`, and stand-in VMMs."""
    return await begin(bare)


@pytest.fixture
async def qemu_world(postgres: TestServer, guest_image: GuestImage) -> AsyncIterator[World]:
    """A control plane with one host and real guests under QEMU."""
    async with world_on(postgres, QEMU, guest_image) as world:
        yield await begin(world)


@pytest.fixture
async def small(bare: World) -> AsyncIterator[World]:
    """A control plane whose node keeps its state on a file system of 8 MiB."""
    runtime = bare.state.runtime
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(runtime)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:  # noqa: ASYNC221
        pytest.skip("mounting a small file system is not allowed here")
    try:
        yield await begin(bare)
    finally:
        await bare.end()
        subprocess.run(["umount", runtime], check=True)  # noqa: ASYNC221


async def begin(world: World) -> World:
    for name in PARTS:
        await world.start(name)
    await world.add_host()
    return world


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """A scenario is played in `async with`; it gives its row of the table and ends with the invariants."""

    @contextlib.asynccontextmanager
    async def play(world: World, name: str, load: str, *, nodes: tuple[int, ...] = ()) -> AsyncIterator[Row]:
        row = Row(name, load)
        began = time.monotonic()
        try:
            yield row
            settled = await invariants.check(world, nodes=nodes)
        except BaseException as error:
            row.outcome = f"FAILED: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            raise
        else:
            row.repair = settled if row.repair is None else row.repair
            row.outcome = row.outcome or f"all hold, in {time.monotonic() - began:.0f} s"
        finally:
            row.put_on(request.node)

    return play
