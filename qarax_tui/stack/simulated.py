"""A fleet for scale, demos and tests: N hosts on the simulated driver, filled with M VMs, through REST."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from qarax_tui.client.api import Api
from qarax_tui.client.errors import ApiError, ClientError
from qarax_tui.client.records import Json, Noun
from qarax_tui.stack import seed

AT_ONCE = 16
SAY_EVERY_SECONDS = 2.0
MEMORY = 128 * 1024 * 1024
CONFLICT = 409
Say = Callable[[str], None]


async def register(api: Api, *, first_port: int, hosts: int, say: Say) -> None:
    """Register the hosts that are missing."""
    known = await _names(api, "host")
    missing = [number for number in range(hosts) if host_name(number) not in known]

    async def one(number: int) -> None:
        await seed.register_host(api, host_name(number), first_port + number)

    await _each(missing, one, "simulated hosts registered", say)


async def fill(api: Api, *, first_port: int, hosts: int, vms: int, say: Say) -> None:
    """Set the registered hosts up, and create and start the VMs that are missing; may be repeated."""
    seen = {
        str(row.get("name"))
        async for page in api.pages("host", limit=1000)
        for row in page
        if row.get("last_seen_at")
    }

    async def admit(number: int) -> None:
        await seed.ensure_host(api, host_name(number), first_port + number)

    unseen = [number for number in range(hosts) if host_name(number) not in seen]
    await _each(unseen, admit, "simulated hosts set up", say)
    boot_source = await seed.find(api, "boot_source", seed.BOOT_SOURCE)
    known = await _names(api, "vm")
    body = {
        "hypervisor": "cloud_hv",
        "driver": "simulated",
        "boot_vcpus": 1,
        "max_vcpus": 1,
        "memory_size": MEMORY,
        "boot_source_id": boot_source and boot_source["id"],
    }

    async def create(number: int) -> None:
        await _create_and_start(api, {"name": vm_name(number), **body})

    await _each([n for n in range(vms) if vm_name(n) not in known], create, "simulated VMs started", say)


def host_name(number: int) -> str:
    """`sim-host-0001` for 0."""
    return f"sim-host-{number + 1:04}"


def vm_name(number: int) -> str:
    """`sim-00001` for 0."""
    return f"sim-{number + 1:05}"


async def _create_and_start(api: Api, body: Json) -> None:
    try:
        vm_id = await api.create_vm(body)
    except ApiError as error:
        if error.status != CONFLICT:
            raise
        return  # made by a call at the same time
    await api.start_vm(vm_id)


async def _names(api: Api, noun: Noun) -> set[str]:
    return {str(row.get("name")) async for page in api.pages(noun, limit=1000) for row in page}


async def _each(numbers: Iterable[int], work: Callable[[int], Awaitable[None]], what: str, say: Say) -> None:
    """Run `work` for each number, AT_ONCE at a time; the first failure ends it all."""
    waiting = list(numbers)
    total, done, last = len(waiting), 0, time.monotonic()
    iterator = iter(waiting)

    async def worker() -> None:
        nonlocal done, last
        for number in iterator:
            await work(number)
            done += 1
            if done == total or time.monotonic() - last > SAY_EVERY_SECONDS:
                last = time.monotonic()
                say(f"{done} of {total} {what}")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, total)):
                group.create_task(worker())
    except* ClientError as failures:
        raise failures.exceptions[0] from None
