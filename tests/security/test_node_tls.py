"""Mutual TLS from the server to its nodes: who is believed, who is not, and what the operator is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from qarax_server.certificates import Authority, Issued
from qarax_server.settings import NodeTls
from tests.ports import free_port
from tests.postgres import TestDatabase
from tests.security import tls
from tests.security.tls import OTHER_ID, Ca, reason_of, register, serve
from tests.server.running import ControlPlane, Node, control_plane, new_vm, settings_for, until

pytestmark = pytest.mark.security


@pytest.fixture
async def guarded(ca: Ca, database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A control plane that reaches its nodes by mutual TLS alone."""
    async with control_plane(ca.settings(database_settings, tmp_path)) as plane:
        yield plane


async def test_a_host_with_its_own_certificate_is_up_and_runs_vms(
    guarded: ControlPlane, ca: Ca, tmp_path: Path, started: list[Node]
) -> None:
    port = free_port()
    host_id = await register(guarded, "h1", port, "localhost")
    started.append(await serve(tmp_path / "n", ca.for_host(host_id, "h1"), port))
    host = await guarded.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
    assert host["status"] == "up", host
    vm_id = await guarded.add_vm()
    assert (await guarded.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"


async def test_f26_two_hosts_whose_ports_were_swapped_are_misidentified_and_told_nothing(
    guarded: ControlPlane, ca: Ca, tmp_path: Path, started: list[Node]
) -> None:
    ports = {name: free_port() for name in ("h1", "h2")}
    ids = {name: await register(guarded, name, port) for name, port in ports.items()}
    for name, port in ports.items():
        started.append(await serve(tmp_path / name, ca.for_host(ids[name], name), port))
        await guarded.ok("PATCH", f"/hosts/{ids[name]}", {"status": "up"})
    vm_id = await guarded.add_vm()
    before = {name: sorted((tmp_path / name).glob("*-*-*-*-*")) for name in ports}
    await move(guarded, ids["h1"], free_port())
    await move(guarded, ids["h2"], ports["h1"])
    await move(guarded, ids["h1"], ports["h2"])
    for name, other in (("h1", "h2"), ("h2", "h1")):
        host = await misidentified(guarded, ids[name])
        assert f"is that of host {other} ({ids[other]}), not {name}'s" in host["status_reason"]
    assert (await guarded.request("POST", f"/vms/{vm_id}/start"))[0] in {409, 503}
    assert (await guarded.request("POST", "/vms", new_vm("vm-2")))[0] == 422
    assert {name: sorted((tmp_path / name).glob("*-*-*-*-*")) for name in ports} == before
    events = await guarded.ok("GET", f"/events?subject_id={ids['h1']}")
    assert [event for event in events if "misidentified" in event["message"]]
    await move(guarded, ids["h1"], free_port())
    await move(guarded, ids["h2"], ports["h2"])
    await move(guarded, ids["h1"], ports["h1"])
    for host_id in ids.values():
        await until(partial(is_up, guarded, host_id), 15)
    assert (await guarded.ok("POST", f"/vms/{vm_id}/start"))["status"] == "running"


async def move(plane: ControlPlane, host_id: str, port: int) -> None:
    await plane.ok("PATCH", f"/hosts/{host_id}", {"port": port})


async def misidentified(plane: ControlPlane, host_id: str) -> dict[str, str]:
    async def so() -> dict[str, str] | None:
        host: dict[str, str] = await plane.ok("GET", f"/hosts/{host_id}")
        return host if "misidentified" in (host["status_reason"] or "") else None

    found: dict[str, str] = await until(so, 15)
    assert found["status"] == "unknown"
    return found


async def is_up(plane: ControlPlane, host_id: str) -> bool:
    return bool((await plane.ok("GET", f"/hosts/{host_id}"))["status"] == "up")


WRONG: dict[str, tuple[Callable[[Authority, str], Issued], str]] = {
    "ended": (
        lambda ca, host_id: tls.ended(ca).issue_for_host(host_id, "h", "127.0.0.1", 1),
        "has expired; renew it: qarax-server ca issue h --renew",
    ),
    "not begun": (
        lambda ca, host_id: tls.begins_later(ca).issue_for_host(host_id, "h", "127.0.0.1"),
        "not valid yet: compare the clocks",
    ),
    "of another CA": (
        lambda _, host_id: Authority.create().issue_for_host(host_id, "h", "127.0.0.1"),
        "misidentified: its node's certificate is of another CA",
    ),
    "a server's": (
        lambda ca, _: ca.issue_for_server(),
        "misidentified: what answers shows a certificate that is no node's",
    ),
    "of a host that is gone": (
        lambda ca, _: ca.issue_for_host(OTHER_ID, "gone", "127.0.0.1"),
        f"misidentified: the certificate shown there is that of host gone ({OTHER_ID}), not h's",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_node_that_shows_something_else_is_not_believed(
    guarded: ControlPlane, ca: Ca, tmp_path: Path, started: list[Node], wrong: str
) -> None:
    port = free_port()
    host_id = await register(guarded, "h", port)
    make, sentence = WRONG[wrong]
    shown = ca.folder(make(ca.authority, host_id), "h", ca.authority.trusted)
    started.append(await serve(tmp_path / "n", shown, port))
    assert sentence in await reason_of(guarded, host_id)


async def test_a_node_that_speaks_plain_text_is_told_apart(
    guarded: ControlPlane, tmp_path: Path, started: list[Node]
) -> None:
    started.append(await serve(tmp_path / "n", None))
    host_id = await register(guarded, "h", started[0].port)
    assert "speaks plain text where TLS is expected" in await reason_of(guarded, host_id)


async def test_a_node_that_trusts_another_ca_refuses_the_server(
    guarded: ControlPlane, ca: Ca, tmp_path: Path, started: list[Node]
) -> None:
    port = free_port()
    host_id = await register(guarded, "h", port)
    issued = ca.authority.issue_for_host(host_id, "h", "127.0.0.1")
    started.append(await serve(tmp_path / "n", ca.folder(issued, "h", Authority.create().trusted), port))
    assert "the node refuses this server's certificate" in await reason_of(guarded, host_id)


async def test_a_server_whose_own_certificate_ended_says_so(
    ca: Ca, database_settings: TestDatabase, tmp_path: Path, started: list[Node]
) -> None:
    ca.folder(tls.ended(ca.authority).issue_for_server(1), "../server")
    async with control_plane(ca.settings(database_settings, tmp_path)) as plane:
        port = free_port()
        host_id = await register(plane, "h", port)
        started.append(await serve(tmp_path / "n", ca.for_host(host_id, "h"), port))
        reason = await reason_of(plane, host_id)
    assert "this server's own certificate ended on" in reason
    assert "qarax-server ca issue --server" in reason


@pytest.mark.parametrize(
    ("node_tls", "address", "sentence"),
    [
        (NodeTls(plain_text=True), "192.0.2.7", "192.0.2.7 is beyond loopback and this server has no cert"),
        (
            NodeTls(),
            "127.0.0.1",
            "node_tls.plain_text, which would allow nodes on loopback without, is false",
        ),
    ],
)
async def test_plain_text_is_for_loopback_and_only_when_configured(
    database_settings: TestDatabase, tmp_path: Path, node_tls: NodeTls, address: str, sentence: str
) -> None:
    settings = settings_for(database_settings, tmp_path, node_tls=node_tls)
    async with control_plane(settings) as plane:
        reason = await reason_of(plane, await register(plane, "h", free_port(), address))
    assert sentence in reason
    assert "qarax-server ca init" in reason


async def test_a_server_without_certificates_is_told_that_the_node_wants_some(
    ca: Ca, database_settings: TestDatabase, tmp_path: Path, started: list[Node]
) -> None:
    started.append(await serve(tmp_path / "n", ca.for_host(OTHER_ID, "h")))
    async with control_plane(settings_for(database_settings, tmp_path)) as plane:
        reason = await reason_of(plane, await register(plane, "h", started[0].port))
    assert "it wants TLS, and this server has no certificates" in reason
