"""What a fresh control plane needs before the first VM: this machine as a host, a pool, a boot source.

Every step asks first and adds what is missing, so it may be repeated. It goes through REST like any client.
`qarax up` calls it; `python -m qarax_tui.stack.seed --server URL` does the same for containers.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qarax_tui.client.api import Api
from qarax_tui.client.errors import ClientError
from qarax_tui.client.records import Json, Noun
from qarax_tui.client.settings import load_settings
from qarax_tui.stack.image import FILES

LOOPBACK = "127.0.0.1"
HOST, POOL, BOOT_SOURCE = "local", "images", "linux"
HOST_SECONDS = 20.0
KERNEL_PARAMS = "console=ttyS0 reboot=k panic=1"
OBJECT_TYPES = dict(zip(FILES, ("kernel", "initrd", "disk"), strict=True))


async def seed(
    api: Api, *, images: Path, node_port: int, say: Callable[[str], None], address: str = LOOPBACK
) -> None:
    """Register host `local` and set it up; a pool for `images` with its files; a boot source that stays."""
    host = await ensure_host(api, HOST, node_port, address)
    pool = await _ensure(
        api,
        "storage_pool",
        {"name": POOL, "pool_type": "local", "config": {"path": str(images)}},
    )
    objects = {
        kind: await _ensure(
            api,
            "storage_object",
            {
                "name": name,
                "storage_pool_id": pool,
                "object_type": kind,
                "size_bytes": (images / name).stat().st_size,
                "config": {"path": str(images / name)},
            },
        )
        for name, kind in OBJECT_TYPES.items()
    }
    await _ensure(
        api,
        "boot_source",
        {
            "name": BOOT_SOURCE,
            "description": "The small Linux guest: a shell on its console until it is stopped.",
            "kernel_image_id": objects["kernel"],
            "initrd_image_id": objects["initrd"],
            "kernel_params": KERNEL_PARAMS,
        },
    )
    if reason := await wait_for_host(api, host):
        say(reason)


async def ensure_host(api: Api, name: str, port: int, address: str = LOOPBACK) -> str:
    """A host of that name at `address`:`port`, admitted."""
    identifier = await register_host(api, name, port, address)
    host = await api.get("host", identifier)
    # Seen before and down now: somebody took it out, and it stays out until somebody sets it up.
    if host.get("last_seen_at") is None:
        await api.update_host(identifier, {"status": "up"})
    return identifier


async def register_host(api: Api, name: str, port: int, address: str = LOOPBACK) -> str:
    """A host of that name at `address`:`port`; nobody is asked yet."""
    found = await find(api, "host", name)
    if found is None:
        body = {"name": name, "address": address, "port": port, "host_user": getpass.getuser()}
        return await api.create_host(body)
    if found.get("port") != port:
        await api.update_host(str(found["id"]), {"port": port})
    return str(found["id"])


async def wait_for_host(api: Api, identifier: str) -> str:
    """Wait until an admitted host answers; return why it is not up, or nothing."""
    deadline = time.monotonic() + HOST_SECONDS
    while True:
        host = await api.get("host", identifier)
        if host.get("status") != "unknown" or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    if host.get("status") == "up":
        return ""
    return f"the host {host.get('name')} is {host.get('status')}: {host.get('status_reason') or 'taken out'}"


async def find(api: Api, noun: Noun, name: str) -> Json | None:
    """The resource of that name, or None."""
    async for page in api.pages(noun, name=name):
        for row in page:
            if row.get("name") == name:
                return row
    return None


async def _ensure(api: Api, noun: Noun, body: dict[str, Any]) -> str:
    found = await find(api, noun, body["name"])
    if found is not None:
        return str(found["id"])
    create = {
        "storage_pool": api.create_storage_pool,
        "storage_object": api.create_storage_object,
        "boot_source": api.create_boot_source,
    }[noun]
    return await create(body)


def main() -> int:
    """Seed a control plane that somebody else started; 1 with a sentence when that fails."""
    parser = argparse.ArgumentParser(prog="python -m qarax_tui.stack.seed", description=__doc__)
    parser.add_argument("--server", required=True, metavar="URL")
    parser.add_argument("--address", default=LOOPBACK, help="of the node, as the server reaches it")
    parser.add_argument("--port", type=int, default=50051, help="of the node (default 50051)")
    parser.add_argument("--images", type=Path, default=Path("/var/lib/qarax/images"), metavar="DIR")
    given = parser.parse_args()

    def say(line: str) -> None:
        sys.stderr.write(f"seed: {line}\n")

    async def work() -> None:
        async with Api(given.server, load_settings(given.server).token) as api:
            await seed(api, images=given.images, node_port=given.port, say=say, address=given.address)

    try:
        asyncio.run(work())
    except ClientError as error:
        say(f"{error.sentence} {error.fix}".rstrip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
