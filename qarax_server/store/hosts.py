"""Hosts: SQL in, dataclass or JSON text out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qarax_server import caller, queries
from qarax_server.caller import Caller
from qarax_server.database import Connection, Event, Transaction
from qarax_server.errors import NotFound
from qarax_server.models import Candidate, Host, build
from qarax_server.observed import NodeFacts
from qarax_server.settings import Placement
from qarax_server.store.paging import Listing
from qarax_server.store.reading import find_document

HOSTS = queries.load("hosts")
LISTING = Listing(HOSTS.list_host_resources)


@dataclass(frozen=True)
class Share:
    """What is claimed of a host (memory in bytes), and for whom."""

    host_id: str
    vcpus: int
    memory: int
    who: Caller = field(default_factory=caller.current)


async def get_host(c: Connection, host_id: str) -> Host:
    """Return a host, or raise NotFound."""
    return _found(await c.fetch_one(HOSTS.get_host, id=host_id), host_id)


async def lock_host(tx: Transaction, host_id: str) -> Host:
    """Return a host and keep others from changing it until the end of the transaction."""
    return _found(await tx.fetch_one(HOSTS.lock_host, id=host_id), host_id)


async def get_host_document(c: Connection, host_id: str) -> str:
    """Return a host's JSON text, or raise NotFound."""
    return await find_document(c, HOSTS.get_host_document, _unknown(host_id), id=host_id)


async def insert_host(tx: Transaction, host_id: str, new: Mapping[str, Any]) -> None:
    """Register a host; Conflict when its name or address is taken."""
    await tx.execute(HOSTS.insert_host, id=host_id, **new)


async def update_host(
    tx: Transaction,
    host_id: str,
    *,
    admitted: bool | None = None,
    address: str | None = None,
    port: int | None = None,
    host_user: str | None = None,
    ssh_host_key: str | None = None,
) -> Host:
    """Change what is not None; an empty `ssh_host_key` forgets the one that is known."""
    row = await tx.fetch_one(
        HOSTS.update_host,
        id=host_id,
        admitted=admitted,
        address=address,
        port=port,
        host_user=host_user,
        ssh_host_key=ssh_host_key,
    )
    return _found(row, host_id)


async def list_host_users(tx: Transaction, host_id: str) -> list[str]:
    """Name what stands in the way of forgetting a host."""
    return [row["who"] for row in await tx.fetch_all(HOSTS.list_host_users, id=host_id)]


async def delete_host(tx: Transaction, host_id: str) -> str:
    """Forget a host that nothing is on and return its name."""
    name: str | None = await tx.fetch_value(HOSTS.delete_host, id=host_id)
    if name is None:
        raise _unknown(host_id)
    return name


async def list_hosts(c: Connection) -> list[Host]:
    """Return every host."""
    return [_host(row) for row in await c.fetch_all(HOSTS.list_hosts)]


async def list_candidates(c: Connection) -> list[Candidate]:
    """Return what placement looks at of every host."""
    rows = await c.fetch_all(HOSTS.list_candidates)
    return [Candidate(**{**row, "usable_drivers": tuple(row["usable_drivers"])}) for row in rows]


async def list_watched_hosts(c: Connection) -> list[Host]:
    """Return the hosts whose nodes are watched."""
    return [_host(row) for row in await c.fetch_all(HOSTS.list_watched_hosts)]


def update_reachable(tx: Transaction, host_id: str, facts: NodeFacts) -> None:
    """Note, right before the next statement, that a node answers and what it said of itself."""
    tx.later(
        HOSTS.update_reachable,
        id=host_id,
        reason=facts.degraded_reason or None,
        node_id=facts.node_id,
        boot_id=facts.boot_id,
        versions=json.dumps(versions_of(facts)),
        drivers=json.dumps(facts.drivers),
        usable_drivers=sorted(driver["name"] for driver in facts.drivers if driver["usable"]),
        cpus=facts.cpus,
        memory_bytes=facts.memory_bytes,
    )


def versions_of(facts: NodeFacts) -> dict[str, str]:
    """A host's programs and their versions, as they are kept."""
    return {"qarax-node": facts.version}


async def update_unreachable(tx: Transaction, host_id: str, reason: str) -> bool:
    """Note that a node does not answer; False when that was known."""
    return await tx.execute(HOSTS.update_unreachable, id=host_id, reason=reason) == 1


async def touch_hosts(tx: Transaction, host_ids: Sequence[str]) -> None:
    """Note that these were heard from just now."""
    tx.later(HOSTS.lock_hosts, ids=list(host_ids))
    await tx.execute(HOSTS.touch_hosts, ids=list(host_ids))


async def claim_host(tx: Transaction, share: Share, limits: Placement) -> Host | None:
    """Promise a share of a host and return it; None when it is not there any more. Waits for other claims."""
    return (await claim_hosts(tx, [share], limits)).get(share.host_id)


async def claim_hosts(tx: Transaction, shares: Sequence[Share], limits: Placement) -> dict[str, Host]:
    """Promise shares and return their hosts by id: of each host all that is asked of it, or nothing."""
    asked: dict[str, dict[str, Any]] = {}
    for share in shares:
        sums = asked.setdefault(share.host_id, {"host_id": share.host_id, "vcpus": 0, "memory": 0})
        sums["vcpus"] += share.vcpus
        sums["memory"] += share.memory
    tx.later(HOSTS.lock_hosts, ids=list(asked))
    rows = await tx.fetch_all(
        HOSTS.claim_hosts,
        shares=json.dumps(list(asked.values())),
        cpu_overcommit=limits.cpu_overcommit,
        memory_overcommit=limits.memory_overcommit,
    )
    claimed = {row["id"]: row for row in rows}
    for share in shares:
        if row := claimed.get(share.host_id):
            _record_share(tx, share.host_id, row, ("claim", "gave"), share.who)
    return {host_id: _host(row) for host_id, row in claimed.items()}


async def release_host(tx: Transaction, host_id: str, *, vcpus: int, memory: int) -> None:
    """Give a share back."""
    row = await tx.fetch_one(HOSTS.release_host, id=host_id, vcpus=vcpus, memory=memory)
    if row is not None:
        _record_share(tx, host_id, row, ("release", "got back"), caller.current())


def _record_share(
    tx: Transaction, host_id: str, row: Mapping[str, Any], words: tuple[str, str], who: Caller
) -> None:
    action, verb = words
    message = f"host {row['name']} {verb} a share"
    tx.record(Event(action, "host", host_id, row["name"], message, before=row["before"], who=who))


def _found(row: Mapping[str, Any] | None, host_id: str) -> Host:
    if row is None:
        raise _unknown(host_id)
    return _host(row)


def _host(row: Mapping[str, Any]) -> Host:
    return build(Host, row)


def _unknown(host_id: str) -> NotFound:
    return NotFound(f"no host has the id {host_id}", code="no_such_host")
