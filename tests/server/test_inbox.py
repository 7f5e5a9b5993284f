"""What nodes see reaches the database once, and reaches it whatever is away in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2

from qarax_server.control.inbox import Inbox
from qarax_server.control.reconciler import Reconciler
from qarax_server.database import Database
from qarax_server.observed import Observation
from qarax_server.store import vms
from tests.postgres import TestDatabase
from tests.server.looking import host_of, vm_with
from tests.server.running import ControlPlane, Node, until
from tests.server.test_observations import HOST, fleet, seen, uuid

__all__ = ["fleet"]

ACTIONS = ("start", "pause", "resume", "reboot", "stop")


@contextlib.contextmanager
def away(where: TestDatabase) -> Iterator[None]:
    """Let nobody into a database, and throw out who is there."""
    connection = psycopg2.connect(where.dsn.replace(f"dbname={where.database_name}", "dbname=postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{where.database_name}" ALLOW_CONNECTIONS false')
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [where.database_name]
        )
        yield
        cursor.execute(f'ALTER DATABASE "{where.database_name}" ALLOW_CONNECTIONS true')
    connection.close()


async def test_an_operator_reads_one_change_once(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    for number in range(3):
        vm_id = await plane.add_vm(f"vm-{number}")
        for action in ACTIONS:
            await plane.ok("POST", f"/vms/{vm_id}/{action}")
        events = await plane.ok("GET", f"/events?subject_id={vm_id}&subject_type=vm")
        changes = [
            event
            for event in events
            if not event["before"] or event["before"]["status"] != event["after"]["status"]
        ]
        assert [event["action"] for event in changes if event["action"] != "create"] == [
            action for action in ACTIONS if action != "reboot"
        ]
        assert [event for event in events if event["action"] == "observe"] == []
        shown = [event["after"]["status"] for event in changes]
        assert shown == ["unknown", "created", "running", "paused", "running", "shutdown"]


async def test_a_change_by_itself_is_seen_at_once(plane: ControlPlane, node: Node) -> None:
    host_id = await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    await plane.server.core.nodes.of(await host_of(plane, host_id)).pause_vm(vm_id)
    await vm_with(plane, vm_id, status="paused")
    events = await plane.ok("GET", f"/events?subject_id={vm_id}")
    assert events[-1]["action"] == "observe"


async def test_what_changed_while_postgresql_was_away_is_right_again(
    plane: ControlPlane, node: Node, database_settings: TestDatabase
) -> None:
    host_id = await plane.add_host(node)
    ids = [await plane.add_vm(f"vm-{number}") for number in range(5)]
    for vm_id in ids:
        await plane.ok("POST", f"/vms/{vm_id}/start")
    client = plane.server.core.nodes.of(await host_of(plane, host_id))
    with away(database_settings):
        for vm_id in ids:
            await client.pause_vm(vm_id)

        async def refused() -> bool:
            return (await plane.request("GET", "/vms"))[0] == 503

        await until(refused)
    for vm_id in ids:
        await vm_with(plane, vm_id, status="paused")


class Written(Reconciler):
    """A reconciler that fails as often as it is told, then writes down what it is given."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.done: dict[str, Any] = {}

    async def take_changes(self, seen: Any) -> None:
        async with self.database.transaction() as tx:
            await vms.update_observed(tx, seen.values())
        self.done.update(seen)


async def test_one_hosts_nonsense_does_not_cost_another_hosts_changes(
    plane: ControlPlane, fleet: Database
) -> None:
    reconciler = Written(fleet)
    inbox = Inbox(plane.server.core, reconciler)
    nonsense = Observation(uuid(1), "v", "running", "", "qemu", 2**64 - 1, 0)
    await inbox._write(
        {
            uuid(1): ("00000000-0000-4000-8000-00000000000b", nonsense),
            uuid(2): (HOST, seen(uuid(2), "paused", 5)),
        }
    )
    assert list(reconciler.done) == [uuid(2)]
    async with fleet.connection() as c:
        assert (await vms.get_vm(c, uuid(2))).status == "paused"


async def test_what_was_seen_of_a_vm_before_it_left_is_not_written_after_that(
    plane: ControlPlane, fleet: Database
) -> None:
    """A change that waited for its turn made a VM that its node had lost look well again."""
    reconciler = Written(fleet)
    inbox = Inbox(plane.server.core, reconciler)
    for number in (1, 2):
        inbox.put(HOST, seen(uuid(number), "paused", 5))
    inbox.put("00000000-0000-4000-8000-00000000000b", seen(uuid(3), "paused", 5))
    await inbox.forget(HOST, uuid(1))
    assert await inbox._write_waiting()
    assert set(reconciler.done) == {uuid(2), uuid(3)}


class Held(Written):
    """One that is in the middle of writing until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def take_changes(self, seen: Any) -> None:
        self.began.set()
        await self.go.wait()
        await super().take_changes(seen)


async def test_what_is_being_written_is_waited_for_before_something_newer(
    plane: ControlPlane, fleet: Database
) -> None:
    reconciler = Held(fleet)
    inbox = Inbox(plane.server.core, reconciler)
    inbox.put(HOST, seen(uuid(1), "paused", 5))
    writing = asyncio.create_task(inbox._write_waiting())
    await reconciler.began.wait()
    forgetting = asyncio.create_task(inbox.forget(HOST))
    inbox.put(HOST, seen(uuid(2), "paused", 5))
    await asyncio.sleep(0)
    assert not forgetting.done()
    reconciler.go.set()
    await asyncio.gather(writing, forgetting)
    assert set(reconciler.done) == {uuid(1)}
    assert await inbox._write_waiting()
    assert set(reconciler.done) == {uuid(1)}
