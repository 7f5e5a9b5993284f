"""`python -m tests.bench.bare PORT DSN`: the floor of an action in one Python process.

An aiohttp handler with the two transactions and the one RPC that a creation or a start cannot do without, and
nothing else: no rules, no decision kept, no history, no keys, no checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiopg
import grpc
from aiohttp import web
from qarax_proto import node_pb2, node_pb2_grpc

from tests.faults.world import World
from tests.ports import free_port
from tests.server.running import until

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
    port, dsn = int(sys.argv[1]), sys.argv[2]
    web.run_app(_application(dsn), host="127.0.0.1", port=port, print=None, access_log=None)


@contextlib.asynccontextmanager
async def beside(world: World) -> AsyncIterator[str]:
    """Run it on a world's database and nodes, beside its server; yields its URL."""
    port = free_port()
    command = ("-m", "tests.bench.bare", str(port), world.database.dsn)
    process = await asyncio.create_subprocess_exec(sys.executable, *command)
    try:
        await until(lambda: _listens(port), 30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _application(dsn: str) -> web.Application:
    app = web.Application()

    async def parts(_: web.Application) -> AsyncIterator[None]:
        async with aiopg.create_pool(dsn, maxsize=CONNECTIONS) as found, contextlib.AsyncExitStack() as stack:
            async with found.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT name, port FROM hosts ORDER BY name")
                hosts = await cursor.fetchall()
            for name, port in hosts:
                channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
                nodes.append((name, node_pb2_grpc.NodeStub(channel)))
            pool.append(found)
            yield

    async def create(request: web.Request) -> web.Response:
        memory, (name, node) = (await request.json())["memory_size"], nodes[next(numbers) % len(nodes)]
        async with pool[0].acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(CLAIM_AND_INSERT, {"memory": memory, "host": name})
            ((vm_id,),) = await cursor.fetchall()
        await node.Describe(node_pb2.DescribeRequest())
        async with pool[0].acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(SETTLE, {"id": vm_id})
        return web.Response(status=201, text=str(vm_id))

    pool: list[aiopg.Pool] = []
    nodes: list[tuple[str, Any]] = []
    numbers = itertools.count()
    app.cleanup_ctx.append(parts)
    app.router.add_post("/vms", create)
    return app


if __name__ == "__main__":
    main()
