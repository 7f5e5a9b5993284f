"""An https:// control plane is believed when the machine's certificates vouch for it, and only then."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from qarax_tui.client.api import Api
from qarax_tui.client.errors import ServerAway

AUTHORITY = trustme.CA()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A server with a certificate of `AUTHORITY` that lists no VM."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(answer, "localhost", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def test_a_certificate_that_the_machine_knows(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AUTHORITY.cert_pem.write_to_path(tmp_path / "known.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "known.pem"))
    async with Api(address) as api:
        assert await api.get_page("/vms", None) == ([], None)


async def test_a_certificate_that_nobody_knows(address: str) -> None:
    async with Api(address) as api:
        with pytest.raises(ServerAway):
            await api.get_page("/vms", None)
