"""The example of a TLS proxy, as nginx runs it: lists, the event stream and consoles come through."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from yarl import URL

from qarax_server import packaged
from qarax_server.settings import Monitor
from tests.ports import free_port
from tests.postgres import TestDatabase
from tests.server.running import ControlPlane, Node, control_plane, settings_for, until

AROUND = """
daemon off;
pid {place}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
{example}
}}
"""


@pytest.fixture
async def plane(database_settings: TestDatabase, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with control_plane(settings_for(database_settings, tmp_path, monitor=Monitor())) as plane:
        yield plane


@pytest.fixture
async def proxied(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that reaches the control plane through nginx, and believes its certificate alone."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    authority, port = trustme.CA(), free_port()
    both = tmp_path / "both.pem"
    both.touch(0o600)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
    example = (packaged.directory("deployments") / "proxy" / "nginx.conf").read_text()
    example = example.replace("listen 443", f"listen 127.0.0.1:{port}")
    example = example.replace("127.0.0.1:8000", f"127.0.0.1:{URL(plane.url).port}")
    for name in ("qarax.pem", "qarax.key"):
        example = example.replace(f"/etc/nginx/tls/{name}", f"{tmp_path}/both.pem")
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(AROUND.format(place=tmp_path, example=example))
    options = ("-p", str(tmp_path), "-c", str(configuration), "-e", "stderr")
    tried = await asyncio.create_subprocess_exec(program, *options, "-t")
    assert await tried.wait() == 0
    process = await asyncio.create_subprocess_exec(program, *options)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(f"https://localhost:{port}", connector=connector) as session:

        async def answers() -> bool:
            try:
                async with session.get("/healthz") as response:
                    return response.status == 200
            except aiohttp.ClientConnectionError:
                return False

        try:
            await until(answers)
            yield session
        finally:
            process.terminate()
            await process.wait()


async def test_requests_events_and_consoles_come_through(
    proxied: aiohttp.ClientSession, plane: ControlPlane, tmp_path: Path
) -> None:
    node = Node(tmp_path / "node")
    await node.start()
    try:
        await plane.add_host(node)
        vm_id = await plane.add_vm()
        async with proxied.get("/events", headers={"Accept": "text/event-stream"}) as events:
            assert await asyncio.wait_for(events.content.readline(), 5) == b"event: hello\n"
            async with proxied.post(f"/vms/{vm_id}/start") as response:
                assert response.status == 200
            while f'"{vm_id}"'.encode() not in await asyncio.wait_for(events.content.readline(), 5):
                pass
        async with proxied.ws_connect(f"/vms/{vm_id}/console?oldest&follow=true") as console:
            first = await asyncio.wait_for(console.receive(), 5)
            assert first.json()["type"] == "offset"
    finally:
        await node.kill()
