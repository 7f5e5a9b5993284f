"""New certificates with guests running: a node and a server that start again with them touch no guest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from qarax_tui.stack import certificates, services
from qarax_tui.stack.services import Service
from tests.faults.world import CLOUD_HYPERVISOR, World, world_on
from tests.postgres import TestServer
from tests.security.tls import client_context
from tests.server.running import until

pytestmark = pytest.mark.security


@dataclass(frozen=True)
class Part:
    """What shows a certificate, and where it is kept."""

    name: str
    folder: str
    command: tuple[str, ...]


PARTS = (
    Part(services.NODE, "hosts/host-1", ("issue", "host-1", "--renew")),
    Part(services.SERVER, "server", ("issue", "--server", "--renew")),
)


@pytest.fixture
async def world(postgres: TestServer) -> AsyncIterator[World]:
    """A control plane as `qarax up` starts it, with a host, mutual TLS and a guest on the stand-in."""
    async with world_on(postgres, CLOUD_HYPERVISOR) as world:
        certificates.ensure_authority(world.state)
        for name in (services.KEEPER, services.SERVER):
            await launch(world, name)
        new = {"name": "host-1", "address": "127.0.0.1", "port": world.node_port, "host_user": "root"}
        host_id = await world.ok("POST", "/hosts", new)
        certificates.issue(world.state, ["host-1"], world.state.tls / "hosts", world.database.environment)
        await launch(world, services.NODE)
        await world.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})
        await world.host_is(host_id, "up")
        yield world


async def launch(world: World, name: str) -> None:
    await world.launch(name, service(world, name))


def service(world: World, name: str) -> Service:
    tls = world.state.tls
    if name == services.NODE:
        return services.node(world.state, world.node_port, world.driver, tls / "hosts" / "host-1")
    if name == services.SERVER:
        return services.server(world.state, world.server_port, tls)
    return world.service(name)


def serial(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes()).serial_number


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
async def test_a_renewed_certificate_is_used_after_a_restart_and_no_guest_notices(
    world: World, part: Part, tmp_path: Path
) -> None:
    vm_id = await world.run_vm()
    guests = world.vmms()
    before = serial(world.state.tls / part.folder)
    certificates._run(world.state, world.database.environment, *part.command)
    assert serial(world.state.tls / part.folder) != before
    await world.kill(part.name)
    await launch(world, part.name)
    (host,) = await world.ok("GET", "/hosts")
    await world.host_is(host["id"], "up")
    assert world.vmms() == guests
    assert (await world.ok("GET", f"/vms/{vm_id}"))["status"] == "running"
    if part.name == services.NODE:
        assert await shown_serial(world, tmp_path) == serial(world.state.tls / part.folder)

    async def paused() -> bool:
        return (await world.request("POST", f"/vms/{vm_id}/pause")).status == 200

    await until(paused)  # the server dials anew


async def shown_serial(world: World, tmp_path: Path) -> int:
    """Of the certificate that the node shows now."""
    context = client_context((world.state.tls / "ca.pem").read_bytes(), None, tmp_path)
    _, writer = await asyncio.open_connection("127.0.0.1", world.node_port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown).serial_number
