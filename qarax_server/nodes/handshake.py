"""Why a TLS connection to a node does not come about: looked at by a handshake of its own, said in words.

gRPC connects and verifies by itself and says little about what it refused. This asks for nothing but the
certificate, after a connection has failed, so that a host's `status_reason` can say what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from qarax_server.certificates import dns_name
from qarax_server.certificates.identities import host_of
from qarax_server.nodes.credentials import Credentials

SECONDS = 2.0
NOT_YET_VALID, EXPIRED, WRONG_PURPOSE = 9, 10, 26  # X509_V_ERR_* of OpenSSL
RENEW = "renew it: qarax-server ca issue {name} --renew, copy it to the host, restart its node"
NO_TLS = ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


async def look(own: Credentials, address: str, port: int, host_id: str, name: str) -> str:
    """Say what is wrong with who answers there; empty when nothing is, or nobody answers."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _look(own, address, port, host_id, name)
    except ssl.SSLCertVerificationError as error:
        return _unverified(error, name)
    except ssl.SSLError as error:
        return _no_handshake(error)
    except (OSError, TimeoutError):
        return ""


async def wants_tls(address: str, port: int) -> bool:
    """Whether who answers there speaks TLS; asked when plain text led to nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # nothing is sent but a greeting, and nothing that comes back is believed
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await _connect(address, port, context, "qarax")
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _connect(
    address: str, port: int, context: ssl.SSLContext, name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and shake hands; given up in the middle, nothing stays open."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
        return await asyncio.open_connection(sock=connection, ssl=context, server_hostname=name)
    except BaseException:
        connection.close()
        raise


async def _look(own: Credentials, address: str, port: int, host_id: str, name: str) -> str:
    reader, writer = await _connect(address, port, own.for_handshakes(), dns_name(host_id))
    try:
        shown = writer.get_extra_info("peercert") or {}
        names = [value for kind, value in shown.get("subjectAltName", ()) if kind in {"DNS", "URI"}]
        if dns_name(host_id) not in names:
            return _another(names, shown, name)
        # in TLS 1.3 the other side judges our certificate after the handshake: gRPC greets, or hangs up
        return "" if await reader.read(1) else _refused(own)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await writer.wait_closed()


def _another(names: list[str], shown: Mapping[str, Any], name: str) -> str:
    ids = [found for each in names if (found := host_of(each))]
    called = next((value for key, value in _subject(shown) if key == "commonName"), "?")
    whose = f"that of host {called} ({ids[0]})" if ids else "no host's"
    return (
        f"misidentified: the certificate shown there is {whose}, not {name}'s; nothing was asked of it. "
        f"Correct the address, or give that machine its own: qarax-server ca issue {name}"
    )


def _subject(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [pair for part in shown.get("subject", ()) for pair in part]


def _refused(own: Credentials) -> str:
    if own.days_left <= 0:
        return (
            f"this server's own certificate ended on {own.ends:%Y-%m-%d}: "
            "qarax-server ca issue --server, then restart the server"
        )
    return (
        "the node refuses this server's certificate: it trusts another CA, or its clock is wrong. "
        "Compare ca.pem on both machines"
    )


def _unverified(error: ssl.SSLCertVerificationError, name: str) -> str:
    if error.verify_code == EXPIRED:
        return f"its node's certificate has expired; {RENEW.format(name=name)}"
    if error.verify_code == NOT_YET_VALID:
        return "its node's certificate is not valid yet: compare the clocks of both machines"
    if error.verify_code == WRONG_PURPOSE:
        return f"misidentified: what answers shows a certificate that is no node's; {RENEW.format(name=name)}"
    return (
        f"misidentified: its node's certificate is of another CA ({error.verify_message}); "
        f"issue it one of this CA: qarax-server ca issue {name}"
    )


def _no_handshake(error: ssl.SSLError) -> str:
    if error.reason in NO_TLS:
        return (
            "it speaks plain text where TLS is expected: start the node with --tls-directory, with the "
            "files of qarax-server ca issue"
        )
    return f"no TLS connection comes about ({(error.reason or str(error)).lower().replace('_', ' ')})"
