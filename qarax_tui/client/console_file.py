"""A console's log into a file: all that the control plane keeps, else what this dashboard has read of it.

saved = await save_log(feed, Path("web-1.console.log"))
saved.written, saved.whole
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from . import web
from .errors import ClientError, ServerAway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from .console import ConsoleFeed

_SILENCE_SECONDS = 15.0


class Saved(NamedTuple):
    """How many bytes were written, and whether nothing that is kept is missing."""

    written: int
    whole: bool


async def save_log(feed: ConsoleFeed, path: Path) -> Saved:
    """Writes a new file of the operator's own, byte for byte; on a ClientError there is none."""
    with _new_file(path) as file:
        if feed.state != "live":
            return Saved(sum(file.write(data) for data in feed.raw()), whole=False)
        written = 0
        async for data in _kept(feed):
            written += file.write(data)
        return Saved(written, whole=True)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Gone again unless all was written."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _not_written(path, error) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _kept(feed: ConsoleFeed) -> AsyncIterator[bytes]:
    """The log from its oldest byte to what is its end now."""
    path = f"/vms/{feed.vm_id}/console"
    try:
        async with await feed.api.open_stream(path, silence_seconds=_SILENCE_SECONDS) as response:
            async for data in response.content.iter_any():
                yield data
    except (web.aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ServerAway("The log was not saved: its connection broke.", "Save it again.") from error


def _not_written(path: Path, error: OSError) -> ClientError:
    why = error.strerror or str(error)
    return ClientError(f"{path} was not written: {why}.", "Choose another name or folder.")
