"""Files fetched by http(s) into a pool, from addresses that are allowed alone.

Imported with the first download: the HTTP client takes 9 MB that most nodes never need. What becomes of the
bytes is in `transfers.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from qarax_node.errors import NodeError
from qarax_node.storage import addresses
from qarax_node.storage.transfers import CHUNK_BYTES, keep

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from qarax_node.storage.transfers import Order, Progress

    Again = Callable[[Mapping[str, str]], AbstractAsyncContextManager[aiohttp.ClientResponse]]

MOST_REDIRECTS = 5
CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 60.0
RESUME_SECONDS = (0.5, 2.0, 4.0, 8.0)
"""How long it waits before it asks again, while nothing comes."""
WHOLE, PARTIAL = 200, 206
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
            again = functools.partial(_followed, session, resolver, addresses.check_url(order.source))
            async with contextlib.aclosing(_resumed(response, again)) as chunks:
                async for progress in keep(order, chunks, total):
                    yield progress
    except (aiohttp.ClientError, UnicodeError, TimeoutError) as error:
        if isinstance(error.__cause__, NodeError):
            raise error.__cause__ from None
        raise NodeError(
            f"the download of {order.source} failed: {error or 'no answer in time'}",
            code="source_unreachable",
            field="source",
        ) from error


async def _resumed(first: aiohttp.ClientResponse, again: Again) -> AsyncGenerator[bytes, None]:
    """The chunks of a file; after a break those that are missing, as long as the source has the same file."""
    place, waits = 0, iter(RESUME_SECONDS)
    same = _validator(first)
    try:
        async for chunk in first.content.iter_chunked(CHUNK_BYTES):
            place += len(chunk)
            yield chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        broken = error
    else:
        return
    while same and (seconds := next(waits, None)) is not None:
        await asyncio.sleep(seconds)
        try:
            async with again({"Range": f"bytes={place}-", "If-Range": same}) as rest:
                _check_rest(rest, place)
                async for chunk in rest.content.iter_chunked(CHUNK_BYTES):
                    place += len(chunk)
                    waits = iter(RESUME_SECONDS)
                    yield chunk
                return
        except (aiohttp.ClientError, TimeoutError) as error:
            broken = error
    raise broken


def _validator(response: aiohttp.ClientResponse) -> str:
    """What tells this content from any other (RFC 9110, If-Range); empty when nothing does."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _check_rest(response: aiohttp.ClientResponse, place: int) -> None:
    said = response.headers.get("Content-Range", "")
    if response.status != PARTIAL or not said.startswith(f"bytes {place}-"):
        raise NodeError(
            f"the connection broke after {place} bytes and {response.url} does not go on from there, or has "
            "another file now: begin again",
            code="source_changed",
            field="source",
        )


@contextlib.asynccontextmanager
async def _followed(
    session: aiohttp.ClientSession,
    resolver: addresses.PinnedResolver,
    url: URL,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[aiohttp.ClientResponse, None]:
    """The answer at the end of the redirects, each checked like the first address."""
    for _ in range(MOST_REDIRECTS + 1):
        with contextlib.suppress(ValueError):  # a name: the resolver checks what it leads to
            resolver.check(str(ipaddress.ip_address(url.host or "")))
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        response = await session.get(url, allow_redirects=False, headers=sent)
        async with response:
            if response.status not in REDIRECTS:
                _check_status(response, PARTIAL if headers else WHOLE)
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


def _check_status(response: aiohttp.ClientResponse, most: int) -> None:
    if response.status not in {WHOLE, most}:
        raise NodeError(
            f"{response.url} answered {response.status} {response.reason}",
            code="source_refused",
            field="source",
        )
