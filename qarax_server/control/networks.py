"""Whom this server may dial: hosts only inside `application.allowed_networks`, when it names any.

A name is resolved when a host is registered or moved, and every address it leads to must be inside. The same
rule holds for downloads, where the node resolves, pins and checks each redirect again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from qarax_server.errors import Invalid

RESOLVE_SECONDS = 3.0


async def check_address(address: str, allowed: Sequence[str]) -> None:
    """Refuse a host's address outside the allowed networks.

    Raises:
        Invalid: it leads outside, or nobody knows where it leads.
    """
    if not allowed:
        return
    networks = [ipaddress.ip_network(each, strict=False) for each in allowed]
    for found in await _addresses(address):
        if not any(found in network for network in networks):
            leads = "" if str(found) == address else f" leads to {found}, which"
            raise _refused(f"{address}{leads} is outside application.allowed_networks: {', '.join(allowed)}")


async def _addresses(
    address: str,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [_plain(address)]
    except ValueError:
        pass  # a name
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        message = f"{address} cannot be resolved, so it cannot be held against application.allowed_networks"
        raise _refused(message) from error
    return [_plain(str(sockaddr[0])) for *_, sockaddr in found]


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; IPv4 in IPv6's clothes is IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _refused(sentence: str) -> Invalid:
    return Invalid(sentence, code="address_not_allowed", errors={"address": [sentence]})
