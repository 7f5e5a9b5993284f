"""Where a host's address leads, and whether this server may dial that: resolved once, checked, then dialled.

What is dialled is an address and no name, so no second answer of a name server can lead anywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from functools import lru_cache

from qarax_server.errors import NodeUntrusted

RESOLVE_SECONDS = 3.0
KNOCK_SECONDS = 1.0
MAKE_THEM = "make them: qarax-server ca init, node_tls.directory, qarax-server ca issue HOST"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# what clouds answer with credentials at; no host of a fleet is there
METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"),
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    )
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Unresolved(Exception):  # noqa: N818 - named for what is the matter
    """Nobody knows where a name leads."""


def literal(text: str) -> Address | None:
    """The address that a text is; None for a name. IPv4 in IPv6's clothes is IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


async def resolve(address: str) -> list[Address]:
    """Every address that a host's address leads to.

    Raises:
        Unresolved: it leads nowhere.
    """
    if (known := literal(address)) is not None:
        return [known]
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise Unresolved(f"{address} cannot be resolved here") from error
    return [known for *_, place in found if (known := literal(str(place[0]))) is not None]


def why_not(name: str, found: Address, allowed: Sequence[str]) -> str:
    """Say why an address may not be dialled; empty when it may. `allowed` empty: any network."""
    leads = name if str(found) == name else f"{name} leads to {found}, which"
    if found.is_multicast or found.is_unspecified:
        return f"{leads} is no address of a machine"
    if _is_metadata(found):
        return f"{leads} is link-local or a cloud's metadata service, where no host can be"
    if allowed and not any(found in network for network in _networks(tuple(allowed))):
        return f"{leads} is outside application.allowed_networks: {', '.join(allowed)}"
    return ""


@lru_cache(1)  # the settings name them once
def _networks(allowed: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(each, strict=False) for each in allowed]


@lru_cache(4096)  # a host is looked at before each call to it
def _is_metadata(found: Address) -> bool:
    return any(each in network for network in METADATA for each in (found, _translated(found)))


def _translated(found: Address) -> Address:
    """The IPv4 address that a NAT64 gateway (RFC 6052) or 6to4 relay on the way would connect to."""
    if not isinstance(found, ipaddress.IPv6Address):
        return found
    return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF) if found in NAT64 else found.sixtofour or found


def check(name: str, found: Address, allowed: Sequence[str], *, loopback_only: bool) -> None:
    """Refuse to dial an address that this server may not.

    Raises:
        NodeUntrusted: with the rule, and what to do.
    """
    if sentence := why_not(name, found, allowed):
        raise NodeUntrusted(f"not dialled: {sentence}")
    if loopback_only and not found.is_loopback:
        raise NodeUntrusted(
            f"not dialled: {found} is beyond loopback and this server has no certificates, so anyone there "
            f"could pass for the node; {MAKE_THEM}"
        )


async def first_that_answers(found: Sequence[Address], port: int) -> Address:
    """Of several addresses the first that accepts a connection; none does: the first."""
    for address in found if len(found) > 1 else ():
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(KNOCK_SECONDS):
                _, writer = await asyncio.open_connection(str(address), port)
            writer.close()
            return address
    return found[0]
