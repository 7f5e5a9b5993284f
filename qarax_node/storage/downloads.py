"""Files fetched by http(s) into a pool, from addresses that are allowed alone.

Imported with the first download: the HTTP client takes 9 MB that most nodes never need. What becomes of the
bytes is in `transfers.py`.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from qarax_node.errors import NodeError
from qarax_node.storage import addresses
from qarax_node.storage.transfers import CHUNK_BYTES, keep

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from qarax_node.storage.transfers import Order, Progress

MOST_REDIRECTS = 5
CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 60.0
REDIRECTS = (301, 302, 303, 307, 308)


async def download(order: Order) -> AsyncIterator[Progress]:
    """Fetch an http(s) source; yields after each chunk. The file is in place when it ends."""
    resolver = addresses.PinnedResolver(addresses.networks(order.allowed_networks))
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
            ) as session,
            _followed(session, resolver, addresses.check_url(order.source)) as response,
        ):
            total = response.content_length or 0
            async for progress in keep(order, response.content.iter_chunked(CHUNK_BYTES), total):
                yield progress
    except (aiohttp.ClientError, UnicodeError, TimeoutError) as error:
        if isinstance(error.__cause__, NodeError):
            raise error.__cause__ from None
        raise NodeError(
            f"the download of {order.source} failed: {error or 'no answer in time'}",
            code="source_unreachable",
            field="source",
        ) from error


@contextlib.asynccontextmanager
async def _followed(
    session: aiohttp.ClientSession, resolver: addresses.PinnedResolver, url: URL
) -> AsyncGenerator[aiohttp.ClientResponse, None]:
    """The answer at the end of the redirects, each checked like the first address."""
    for _ in range(MOST_REDIRECTS + 1):
        with contextlib.suppress(ValueError):  # a name: the resolver checks what it leads to
            resolver.check(str(ipaddress.ip_address(url.host or "")))
        response = await session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"})
        async with response:
            if response.status not in REDIRECTS:
                _check_status(response)
                yield response
                return
            url = _next(url, response)
    raise NodeError(f"more than {MOST_REDIRECTS} redirects", code="source_unreachable", field="source")


def _next(url: URL, response: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads."""
    try:
        return addresses.check_url(str(url.join(URL(response.headers["Location"]))))
    except (KeyError, ValueError) as error:
        raise NodeError(
            f"{url} answered {response.status} without a Location that can be followed",
            code="source_refused",
            field="source",
        ) from error


def _check_status(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:  # noqa: PLR2004  the one status with the whole file
        raise NodeError(
            f"{response.url} answered {response.status} {response.reason}",
            code="source_refused",
            field="source",
        )
