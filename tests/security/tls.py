"""A private CA in a test's own directory, nodes that show what it issued, and what is wrong with others."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from qarax_server.certificates import Authority, Issued, folders
from qarax_server.settings import Monitor, NodeTls, Settings
from tests.postgres import TestDatabase
from tests.server.running import ControlPlane, Node, settings_for, until

OTHER_ID = "7d1f7f0e-3c8f-4a41-8f0e-0f0b6a1f6f0d"
QUICK = Monitor(heartbeat_seconds=0.2, silence_seconds=1.0, reconnect_seconds=0.2, call_seconds=2.0)


@dataclass
class Ca:
    """A CA whose directory is as `qarax-server ca init` makes it."""

    directory: Path
    authority: Authority = field(init=False)

    def __post_init__(self) -> None:
        self.authority = folders.create(self.directory, 3650)
        folders.keep(self.directory / "server", self.authority.issue_for_server())

    def settings(self, database: TestDatabase, directory: Path) -> Settings:
        """Settings of a server that reaches its nodes by this CA."""
        return settings_for(
            database, directory, node_tls=NodeTls(directory=str(self.directory)), monitor=QUICK
        )

    def folder(self, issued: Issued, name: str, ca: bytes | None = None) -> Path:
        """Keep something issued in a folder for `--tls-directory`."""
        place = self.directory / "hosts" / name
        folders.keep(place, replace(issued, ca=ca or issued.ca))
        return place

    def for_host(self, host_id: str, name: str) -> Path:
        """What `qarax-server ca issue` makes."""
        return self.folder(self.authority.issue_for_host(host_id, name, "127.0.0.1"), name)


def ended(made: Authority) -> Authority:
    """The same CA, whose certificates for a day ended the day before yesterday."""
    return replace(made, clock=lambda: datetime.now(UTC) - timedelta(days=3))


def begins_later(made: Authority) -> Authority:
    """The same CA, whose certificates are not valid before the day after tomorrow."""
    return replace(made, clock=lambda: datetime.now(UTC) + timedelta(days=3))


async def serve(directory: Path, tls: Path | None, port: int | None = None) -> Node:
    """Start a node that shows what is in a folder, or speaks plain text."""
    options = ("--tls-directory", str(tls)) if tls else ()
    node = Node(directory, options=options) if port is None else Node(directory, port, options=options)
    await node.start()
    return node


async def register(plane: ControlPlane, name: str, port: int, address: str = "127.0.0.1") -> str:
    new = {"name": name, "address": address, "port": port, "host_user": "root"}
    host_id: str = await plane.ok("POST", "/hosts", new)
    return host_id


async def reason_of(plane: ControlPlane, host_id: str) -> str:
    """Set a host up and wait for why it is not."""
    await plane.ok("PATCH", f"/hosts/{host_id}", {"status": "up"})

    async def known() -> str:
        host = await plane.ok("GET", f"/hosts/{host_id}")
        assert host["status"] == "unknown", host
        text = str(host["status_reason"])
        return "" if "has not answered yet" in text else text

    found: str = await until(known, 15)
    return found


def client_context(ca: bytes, own: Issued | None, folder: Path) -> ssl.SSLContext:
    """TLS as a client with this certificate, or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=ca.decode())
    context.set_alpn_protocols(["h2"])
    if own is not None:
        file = folder / "client.pem"
        file.touch(0o600)
        file.write_bytes(own.certificate + own.key)
        context.load_cert_chain(file)
    return context


async def greeting(port: int, context: ssl.SSLContext | None, hello: bytes = b"") -> tuple[bytes, str]:
    """What a port says first, and in which version of TLS; nothing when it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(hello)
        async with asyncio.timeout(5):
            said = await reader.read(9)
        version = writer.get_extra_info("ssl_object")
        return said, version.version() if version else ""
    except (ConnectionError, ssl.SSLError):
        return b"", ""
    finally:
        writer.transport.abort()
