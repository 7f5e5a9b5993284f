"""Files brought into a pool: copied from a pool or an import directory, or downloaded (`downloads.py`).

The bytes go to a temporary name beside the destination and take its place when they are complete, synced and,
where a digest was given, the right ones. Cancelling removes what was written.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from qarax_node.errors import NodeError
from qarax_node.storage import paths, pools, threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


CHUNK_BYTES = 1 << 20
STEP_SECONDS = 60.0
SYNC_SECONDS = 600.0


@dataclass(frozen=True)
class Order:
    """What to bring where. `size_limit` 0: no limit; `sha256` "": not checked."""

    pool_path: str
    path: str
    source: str
    size_limit: int = 0
    sha256: str = ""
    allowed_networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Bytes so far, and in all where that is known (else 0)."""

    transferred: int
    total: int


async def copy(order: Order, roots: Sequence[Path]) -> AsyncIterator[Progress]:
    """Copy a file of this host that lies below one of `roots` (pools and import directories)."""
    descriptor = await threads.run("the source", STEP_SECONDS, lambda: _open_source(order.source, roots))
    try:
        total = os.fstat(descriptor).st_size
        async for progress in keep(order, _chunks(descriptor), total):
            yield progress
    finally:
        os.close(descriptor)


def _open_source(source: str, roots: Sequence[Path]) -> int:
    for root in roots:
        if PurePosixPath(source).is_relative_to(root) and source != str(root):
            descriptor = paths.open_file(str(root), source, field="source")
            paths.check_same(descriptor, source, "source")
            return descriptor
    named = ", ".join(map(str, roots)) or "none"
    raise NodeError(
        f"{source} lies in no pool and no import directory ({named}); start the node with --import-dir",
        code="source_forbidden",
        field="source",
    )


async def _chunks(descriptor: int) -> AsyncIterator[bytes]:
    while data := await threads.run("the source", STEP_SECONDS, lambda: os.read(descriptor, CHUNK_BYTES)):
        yield data


async def keep(order: Order, chunks: AsyncIterator[bytes], total: int) -> AsyncIterator[Progress]:
    """Write the chunks to a fresh file that replaces the destination when everything is right."""
    _check_size(order, total)
    digest = hashlib.sha256()
    written = 0
    pool = order.pool_path
    made = await threads.run(pool, STEP_SECONDS, lambda: pools.Replacement(pool, order.path))
    try:
        yield Progress(0, total)
        async for chunk in chunks:
            written += len(chunk)
            _check_size(order, written)
            await threads.run(pool, STEP_SECONDS, functools.partial(made.write, chunk))
            digest.update(chunk)
            yield Progress(written, total)
        _check_digest(order, digest.hexdigest())
        await threads.run(pool, SYNC_SECONDS, made.commit)
    finally:
        await asyncio.shield(threads.run(pool, STEP_SECONDS, made.close))


def _check_digest(order: Order, found: str) -> None:
    if order.sha256 and found != order.sha256.lower():
        raise NodeError(
            f"the file's SHA-256 is {found}, not the {order.sha256} that was asked for",
            code="digest_mismatch",
            field="sha256",
        )


def _check_size(order: Order, size: int) -> None:
    if order.size_limit and size > order.size_limit:
        raise NodeError(
            f"the source has more than the {order.size_limit} bytes that are allowed",
            code="too_large",
            kind="exhausted",
            field="source",
        )
