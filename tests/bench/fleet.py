"""A control plane over many simulated hosts, filled with VMs before anything starts.

Hosts and VMs are written where a running system would have them: rows in the database, specs in the nodes'
directories. What is measured afterwards is the programs' own work, over real sockets and processes.
"""

from __future__ import annotations

import contextlib
import random
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import psycopg2.extras
from qarax_proto import node_pb2

from qarax_node.machines.record import Record
from qarax_tui.stack import services
from tests.bench.rows import Bench
from tests.faults.world import CMDLINE, World, world_on
from tests.server.running import until

NODES = services.SIMULATED
MEMORY = 64 * 2**20
START_SECONDS = 300.0
LIKE_A_SIMULATION = "[{'name': 'simulated', 'usable': true}]".replace("'", '"')

INSERT_HOSTS = """
INSERT INTO hosts (
    id, name, address, port, host_user, admitted, status, cpus, memory_bytes, usable_drivers, drivers
)
VALUES %s"""
INSERT_VMS = """
INSERT INTO vms (
    id, name, hypervisor, driver, status, host_id, boot_vcpus, max_vcpus, memory_size, started_at, created_at
)
VALUES %s"""
COUNT_SHARES = """
UPDATE hosts SET allocated_vcpus = t.vcpus, allocated_memory_bytes = t.memory
FROM (SELECT host_id, sum(boot_vcpus) AS vcpus, sum(memory_size) AS memory FROM vms GROUP BY 1) AS t
WHERE hosts.id = t.host_id"""


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that clients get."""
    while True:
        first = random.randrange(10_000, 32_000 - count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port))
            return first


def host_id(number: int) -> str:
    """The id of a host by its number, the same in every run."""
    return str(uuid.UUID(int=(0xA << 124) | number, version=4))


def vm_id(number: int) -> str:
    """The id of a VM by its number, the same in every run; in another order than the numbers."""
    return str(uuid.UUID(int=random.Random(number).getrandbits(128), version=4))


@contextlib.contextmanager
def cursor(dsn: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor in a transaction that commits."""
    connection = psycopg2.connect(dsn)
    with contextlib.closing(connection), connection, connection.cursor() as found:
        yield found


def insert_hosts(dsn: str, hosts: int, first_port: int, *, cpus: int, memory: int, status: str) -> None:
    """Hosts in placement, not yet heard of."""
    rows = [
        (
            *(host_id(number), f"host-{number:04}", "127.0.0.1", first_port + number, "root", True, status),
            *(cpus, memory, ["simulated"], LIKE_A_SIMULATION),
        )
        for number in range(hosts)
    ]
    with cursor(dsn) as found:
        psycopg2.extras.execute_values(found, INSERT_HOSTS, rows, page_size=1000)


def insert_vms(dsn: str, vms: int, hosts: int, status: str) -> None:
    """VMs spread evenly over the hosts, each a millisecond younger than the one before."""
    rows = (
        (vm_id(n), f"vm-{n:06}", "cloud_hv", "simulated", status, host_id(n % hosts), 1, 1, MEMORY, None, n)
        for n in range(vms)
    )
    template = "(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,now() + %s * interval '1 millisecond')"
    with cursor(dsn) as found:
        psycopg2.extras.execute_values(found, INSERT_VMS, rows, template=template, page_size=1000)
        found.execute(COUNT_SHARES)
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as found:
        found.execute("VACUUM ANALYZE")


def write_specs(simulated: Path, vms: int, hosts: int, kernel: Path) -> None:
    """What each node would have kept of its VMs."""
    directories = [simulated / f"simulated-{number}" for number in range(hosts)]
    for directory in directories:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = node_pb2.FileReference(pool_path=str(kernel.parent), path=str(kernel))
    spec = node_pb2.VmSpec(driver="simulated", boot_vcpus=1, max_vcpus=1, memory_size=MEMORY, memory_thp=True)
    spec.cmdline = CMDLINE
    spec.kernel.CopyFrom(file)
    for number in range(vms):
        spec.name = f"vm-{number:06}"
        Record(directories[number % hosts] / vm_id(number), durable=False).create(spec)


async def start_nodes(world: World, first_port: int, hosts: int) -> None:
    """All simulated nodes, in one process."""
    service = services.simulated(world.state, first_port, hosts)
    await world.launch(NODES, replace(service, seconds=START_SECONDS))


@contextlib.asynccontextmanager
async def fleet(
    bench: Bench, hosts: int, vms: int, *, status: str = "created", serve: bool = True
) -> AsyncIterator[World]:
    """A control plane over `hosts` simulated hosts with `vms` VMs; `serve`: its server runs, all hosts up."""
    async with world_on(bench.postgres, ()) as world:
        first_port = free_ports(hosts)
        where = world.database.dsn
        insert_hosts(where, hosts, first_port, cpus=64, memory=2**40, status="unknown")
        insert_vms(where, vms, hosts, status)
        write_specs(world.state.simulated, vms, hosts, world.state.images / "vmlinux")
        await start_nodes(world, first_port, hosts)
        if serve:
            await world.start(services.SERVER)
            await all_up(world, hosts)
        yield world


async def all_up(world: World, hosts: int) -> None:
    """Wait until every host has been heard from."""

    async def up() -> bool:
        with cursor(world.database.dsn) as found:
            found.execute("SELECT count(*) FROM hosts WHERE status = 'up' AND reachable")
            return bool(found.fetchone() == (hosts,))

    await until(up, START_SECONDS)
