"""What came back: the answer of a request, or its refusal as an error with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ApiError, ServerAway
from .sanitise import safe, safe_json

if TYPE_CHECKING:
    from . import web

LARGEST_ANSWER = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the headers and the text of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as safe text."""
        return safe(self.body.decode("utf-8", "replace"), newlines=True, limit=LARGEST_ANSWER)

    def json(self) -> Any:
        """The body as safe JSON; ServerAway when it is none."""
        try:
            return safe_json(self.body)
        except ValueError as error:
            raise ServerAway(
                "The answer is not JSON, so no control plane answers at this address.",
                "Check the address given by --server.",
            ) from error


async def read_body(response: web.aiohttp.ClientResponse) -> bytes:
    """The whole body, as long as it is one a control plane would send."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_ANSWER:
            raise ServerAway("The answer is larger than any a control plane gives.")
        parts.append(part)
    return b"".join(parts)


def refusal(response: web.aiohttp.ClientResponse, content: bytes) -> ApiError:
    """The contract's error body, or a sentence about whatever else answered."""
    try:
        body = safe_json(content)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    fields = body.get("errors")
    message = body.get("message")
    return ApiError(
        message
        if isinstance(message, str) and message
        else f"HTTP {response.status} without an explanation.",
        response.status,
        code=str(body.get("code") or ""),
        errors=_field_errors(fields) if isinstance(fields, dict) else {},
        request_id=safe(body.get("request_id") or response.headers.get("x-request-id", "")),
        fix=_fix(response.status),
        retry_after=_seconds(response.headers.get("Retry-After", "")),
        body=body,
    )


def _field_errors(fields: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(str(line) for line in lines) if isinstance(lines, list) else (str(lines),)
        for name, lines in fields.items()
    }


def _fix(status: int) -> str:
    return {
        301: "Check the address given by --server; redirects are not followed.",
        302: "Check the address given by --server; redirects are not followed.",
        401: "Set QARAX_TOKEN to a valid token.",
        403: "Use a token with the rights for this.",
        503: "Try again in a moment; `qarax status` says what is missing.",
        504: "The host did not answer in time; look at the hosts view.",
    }.get(status, "")


def _seconds(value: str) -> float | None:
    return float(value) if value.isdecimal() else None
