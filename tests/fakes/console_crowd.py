"""Many readers of one console: `python console_crowd.py PORT VM READERS`; a line `ready` when all have read.

They go on until the process ends, or is stopped: then they vanish without a word.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import grpc
from qarax_proto import node_pb2, node_pb2_grpc

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

STREAMS_PER_CONNECTION = 50


async def follow(stub: Stub, vm_id: str, begun: asyncio.Queue[None]) -> None:
    """Read for ever; say once that it has begun."""
    told = False
    request = node_pb2.ReadConsoleRequest(vm_id=vm_id, oldest=True, follow=True)
    async for chunk in stub.ReadConsole(request):
        if not told and chunk.data.data:
            told = True
            begun.put_nowait(None)


async def crowd(port: int, vm_id: str, readers: int) -> None:
    """Connect them all, then read until the end."""
    begun: asyncio.Queue[None] = asyncio.Queue()
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        for _ in range(-(-readers // STREAMS_PER_CONNECTION))
    ]
    stubs = [node_pb2_grpc.NodeStub(channels[number % len(channels)]) for number in range(readers)]
    tasks = [asyncio.create_task(follow(stub, vm_id, begun)) for stub in stubs]
    for _ in tasks:
        await begun.get()
    print("ready", flush=True)  # noqa: T201  for the test that started it
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(crowd(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
