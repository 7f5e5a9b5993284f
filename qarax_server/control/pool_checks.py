"""Looks at every pool on every host that has it, now and then, used or not, and settles what is seen.

One host whose storage stalls puts the pool in error with that host's name; nothing else waits for it, and no
decision depends on it. What each host said last is kept here: in a large fleet a round asks a part of it.
"""

from __future__ import annotations

import asyncio
from itertools import islice

from qarax_server.control import pool_hosts
from qarax_server.database import Database
from qarax_server.errors import QaraxError
from qarax_server.models import Host, StoragePool
from qarax_server.nodes.channels import Nodes
from qarax_server.store import storage_pools

MOST_PER_ROUND = 1000
MOST_AT_ONCE = 32
MOST_NAMED = 3

Pair = tuple[str, str]
"""A pool's id and a host's."""


class PoolChecks:
    """What the hosts say of the pools, in words; "" when all is in order."""

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database = database
        self._nodes = nodes
        self._said: dict[Pair, str] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def look(self) -> None:
        """Ask those that were asked longest ago, then settle each pool of which enough is known."""
        async with self._database.connection() as connection:
            pools = await storage_pools.list_all_storage_pools(connection)
            hosts = {pool.id: await pool_hosts.hosts_of(connection, pool) for pool in pools}
        pairs = {(pool.id, host.id): (pool, host) for pool in pools for host in hosts[pool.id]}
        self._said = {pair: said for pair, said in self._said.items() if pair in pairs}
        never = [pair for pair in pairs if pair not in self._said]
        turn = list(islice((*never, *self._said), MOST_PER_ROUND))
        seen = await asyncio.gather(*(self._ask(*pairs[pair]) for pair in turn))
        rooms: dict[str, int] = {}
        for (pool_id, _), room in zip(turn, seen, strict=True):
            rooms.setdefault(pool_id, room)
        for pool in pools:
            await self._settle(pool, hosts[pool.id], rooms.get(pool.id) or None)

    async def _ask(self, pool: StoragePool, host: Host) -> int:
        """Ask one host, return how many bytes it sees; a host that is away says nothing of its storage."""
        pair, room, said = (pool.id, host.id), 0, ""
        known = self._said.pop(pair, None)
        try:
            async with self._turns:
                room = (await pool_hosts.ask(self._nodes, pool, host, look_only=True)).capacity_bytes
        except QaraxError as error:
            if not pool_hosts.blames_pool(error):
                if known is not None:
                    self._said[pair] = known
                return 0
            said = f"host {host.name}: {error.message}"
        self._said[pair] = said
        return room

    async def _settle(self, pool: StoragePool, hosts: list[Host], room: int | None) -> None:
        said = [self._said.get((pool.id, host.id)) for host in hosts]
        trouble = [sentence for sentence in said if sentence]
        if trouble:
            more = f" and {len(trouble) - MOST_NAMED} hosts more" if len(trouble) > MOST_NAMED else ""
            await pool_hosts.settle(self._database, pool, "; ".join(trouble[:MOST_NAMED]) + more, room)
        elif said and None not in said:
            await pool_hosts.settle(self._database, pool, None, room)
