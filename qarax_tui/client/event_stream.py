"""Server-sent events as the contract uses them: frames out of the chunks of a response.

The format is the WHATWG one (HTML, section 9.2) without `retry`. What the frames mean is in `fleet`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from . import web
from .errors import ServerAway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGEST_FRAME = 16 * 2**20
_FIELD = re.compile(rb"^(data|event)(?:: ?(.*))?$", re.MULTILINE)


class Frame(NamedTuple):
    """One event: its name and its data, still as bytes."""

    name: str
    data: bytes


async def frames(response: web.aiohttp.ClientResponse) -> AsyncIterator[list[Frame]]:
    """The frames of each network chunk, none for a heartbeat; ServerAway at the end or after silence."""
    rest = b""
    try:
        async for chunk in response.content.iter_any():
            rest += chunk
            *whole, rest = rest.replace(b"\r\n", b"\n").split(b"\n\n")
            if len(rest) > LARGEST_FRAME:
                raise ServerAway("The event stream sent something that is no event.")
            yield [frame for text in whole if (frame := parse(text)) is not None]
    except TimeoutError as error:
        raise ServerAway("The event stream fell silent.", "It is opened again by itself.") from error
    except (web.aiohttp.ClientError, OSError) as error:
        raise ServerAway("The event stream broke.", "It is opened again by itself.") from error
    raise ServerAway("The server ended the event stream.", "It is opened again by itself.")


def parse(text: bytes) -> Frame | None:
    """A frame, or None for a comment."""
    name, data = b"message", []
    for field, value in _FIELD.findall(text):
        if field == b"data":
            data.append(value)
        else:
            name = value
    return Frame(name.decode("ascii", "replace"), b"\n".join(data)) if data else None
