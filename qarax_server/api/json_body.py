"""JSON from outside, read so that whatever was sent ends in a value or in a 4xx.

Python's reader takes more than JSON (NaN, duplicate keys, lone surrogates, numbers of any length) and gives
up on less (nesting). What comes out of here fits into PostgreSQL: text without NUL, integers of 64 bits.
Next step: the schemas.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from qarax_server.api.services import SETTINGS
from qarax_server.errors import BadRequest, Invalid, TooLarge, TooSlow

LONGEST_BODY = 2**20
"""Bytes of a request body; also the application's `client_max_size`."""

DEEPEST = 32
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1


async def read_json(request: web.Request) -> tuple[bytes, Any]:
    """Read a request's body as JSON whatever its Content-Type.

    Returns:
        The bytes (empty when there is no body) and the value (None then).

    Raises:
        BadRequest: it is not JSON.
        TooLarge: it is over the limit.
        TooSlow: it did not arrive in time.
        Invalid: it is JSON with values that nothing here can hold.
    """
    seconds = request.app[SETTINGS].application.body_seconds
    try:
        async with asyncio.timeout(seconds):
            raw = await request.read()
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {seconds:g} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(f"the body is over the limit of {LONGEST_BODY} bytes") from error
    except (web.RequestPayloadError, BadHttpMessage, ConnectionError) as error:
        raise BadRequest("the body does not arrive as its headers announce it") from error
    return raw, parse_json(raw) if raw.strip() else None


def parse_json(raw: bytes) -> Any:
    """Turn bytes into a value that is safe to hand on; see `read_json` for the errors."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start} is {raw[error.start]:#04x}") from error
    except RecursionError as error:
        raise BadRequest(f"the body is nested deeper than {DEEPEST} levels") from error
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not JSON: line {error.lineno} column {error.colno}: {error.msg}"
        ) from error
    except ValueError as error:  # a number of thousands of digits
        raise BadRequest("the body is not JSON that can be read: a number is too long") from error
    _check_values(value)
    return value


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"the body is not JSON: {name} is no JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"the body is ambiguous: {_shown(twice)} is given twice")
    return members


def _check_values(value: Any) -> None:
    """Walk without recursion; the first few places at fault end up in the errors."""
    errors: dict[str, list[str]] = {}
    pending = [("", value, 0)]
    while pending and len(errors) < 10:  # noqa: PLR2004 - enough for anyone to see what is wrong
        place, each, depth = pending.pop()
        if depth > DEEPEST:
            raise BadRequest(f"the body is nested deeper than {DEEPEST} levels")
        if isinstance(each, dict):
            for name, member in each.items():
                pending += [(_below(place, name), name, depth), (_below(place, name), member, depth + 1)]
        elif isinstance(each, list):
            pending += [(_below(place, str(index)), item, depth + 1) for index, item in enumerate(each)]
        elif sentence := _fault(each):
            errors[place or "body"] = [sentence]
    if errors:
        message = "; ".join(f"{place}: {sentences[0]}" for place, sentences in errors.items())
        raise Invalid(message, errors=errors)


def _fault(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            return "NUL cannot be stored in text."
        return "" if _is_unicode(value) else "Half a surrogate pair is no text."
    if isinstance(value, float) and not math.isfinite(value):
        return "A number that large cannot be held."
    if isinstance(value, int) and not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return "An integer must fit into 64 bits with a sign."
    return ""


def _below(place: str, name: str) -> str:
    name = _shown(name)
    return f"{place}.{name}" if place else name


def _shown(name: str) -> str:
    """A member's name as an error may carry it: short, and text."""
    return name.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")[:100]


def _is_unicode(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
