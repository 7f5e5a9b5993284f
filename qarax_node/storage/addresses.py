"""Which addresses a download may reach: names are resolved once, and the connection is pinned to the result.

Used for the first request and again for every redirect, so no name can lead somewhere else between the check
and the connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
RESOLVE_SECONDS = 10.0
# what clouds answer with credentials at: refused whatever is allowed
METADATA: list[Network] = [
    ipaddress.ip_network(text)
    for text in (
        *("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"),
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    )
]


def networks(given: Iterable[str]) -> list[Network]:
    """The allowed networks. None given: every address that is reachable from the public internet."""
    try:
        return [ipaddress.ip_network(text, strict=False) for text in given]
    except ValueError as error:
        raise NodeError(f"allowed_networks: {error}", code="networks_invalid", field="source") from error


def is_allowed(address: str, allowed: list[Network]) -> bool:
    """Whether a download may connect to this address."""
    parsed, inside = _both(address)
    if is_metadata(address):
        return False
    if allowed:
        return any(each in network for network in allowed for each in (parsed, inside))
    return inside.is_global and not inside.is_multicast


def is_metadata(address: str) -> bool:
    """Whether a cloud's metadata service may be there; no setting allows that."""
    return any(each in network for network in METADATA for each in _both(address))


def _both(address: str) -> tuple[Address, Address]:
    """An address as it is dialled, and the one that a gateway on the way would make of it."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed, _translated(parsed)


def _translated(address: Address) -> Address:
    """The IPv4 address that a NAT64 gateway (RFC 6052) or 6to4 relay on the way would connect to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or address


def check_url(text: str) -> URL:
    """An http or https URL with a host and without a password in it."""
    try:
        url = URL(text)
    except ValueError as error:
        raise NodeError(f"the source is no URL: {error}", code="source_invalid", field="source") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise NodeError(
            "the source must be http:// or https:// with a host", code="source_invalid", field="source"
        )
    if url.raw_user is not None or url.raw_password is not None:
        raise NodeError(
            "the source must not hold a user or password: whoever can read the transfer would see it",
            code="source_invalid",
            field="source",
        )
    return url


class PinnedResolver(AbstractResolver):
    """Resolves a name once and remembers only what is allowed."""

    def __init__(self, allowed: list[Network]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise NodeError(
                f"the name {host} cannot be resolved on this host: {error or 'no answer'}",
                code="source_unreachable",
                field="source",
            ) from error
        results: list[ResolveResult] = []
        for its_family, _, protocol, _, address in found:
            self.check(str(address[0]))
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=its_family,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    def check(self, address: str) -> None:
        """Raise NodeError for an address that no download may reach."""
        if not is_allowed(address, self._allowed):
            remedy = (
                "link-local and metadata addresses never are allowed"
                if is_metadata(address)
                else "an administrator can allow its network in application.allowed_networks"
            )
            raise NodeError(
                f"the source is at {address}, which downloads may not reach; {remedy}",
                code="source_forbidden",
                field="source",
            )

    async def close(self) -> None:
        """Nothing to let go of."""
