"""`python -m tests.bench.bare PORT DSN FIRST_NODE_PORT HOSTS`: the floor of a creation in one Python process.

An aiohttp handler with the two transactions and the one RPC that a creation cannot do without, and nothing
else: no rules, no decision kept, no history, no keys, no checks.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiopg
import grpc
from aiohttp import web
from qarax_proto import node_pb2, node_pb2_grpc

CLAIM_AND_INSERT = """
WITH claimed AS (
    UPDATE hosts
    SET allocated_vcpus = allocated_vcpus + 1, allocated_memory_bytes = allocated_memory_bytes + %(memory)s,
        updated_at = now()
    WHERE name = %(host)s AND status = 'up'
        AND allocated_vcpus + 1 <= cpus * 1000 AND allocated_memory_bytes + %(memory)s <= memory_bytes
    RETURNING id
)
INSERT INTO vms (name, hypervisor, driver, host_id, boot_vcpus, max_vcpus, memory_size)
SELECT 'bare-' || gen_random_uuid(), 'cloud_hv', 'simulated', id, 1, 1, %(memory)s FROM claimed
RETURNING id"""
SETTLE = "UPDATE vms SET status = 'created' WHERE id = %(id)s"
CONNECTIONS = 10


def main() -> None:
    """Serve until killed."""
    port, dsn, first, hosts = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    web.run_app(_application(dsn, first, hosts), host="127.0.0.1", port=port, print=None, access_log=None)


def _application(dsn: str, first: int, hosts: int) -> web.Application:
    app = web.Application()
    numbers = itertools.cycle(range(hosts))

    async def parts(_: web.Application) -> AsyncIterator[None]:
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{first + number}") for number in range(hosts)]
        stubs[:] = [node_pb2_grpc.NodeStub(channel) for channel in channels]
        async with aiopg.create_pool(dsn, maxsize=CONNECTIONS) as found:
            pool.append(found)
            yield
        for channel in channels:
            await channel.close()

    async def create(request: web.Request) -> web.Response:
        memory, number = (await request.json())["memory_size"], next(numbers)
        async with pool[0].acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(CLAIM_AND_INSERT, {"memory": memory, "host": f"host-{number:04}"})
            ((vm_id,),) = await cursor.fetchall()
        await stubs[number].Describe(node_pb2.DescribeRequest())
        async with pool[0].acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(SETTLE, {"id": vm_id})
        return web.Response(status=201, text=str(vm_id))

    pool: list[aiopg.Pool] = []
    stubs: list[Any] = []
    app.cleanup_ctx.append(parts)
    app.router.add_post("/vms", create)
    return app


if __name__ == "__main__":
    main()
