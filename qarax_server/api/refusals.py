"""How refusals look in the OpenAPI document: one response per status, by name, with an example each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qarax_server.api.schemas import Error

JSON = "application/json"
REQUEST_ID = {"x-request-id": {"description": "The request's id.", "schema": {"type": "string"}}}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_AUTHENTICATE = {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}
_MORE_HEADERS = {401: _AUTHENTICATE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}

NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    408: "TooSlow",
    413: "TooLarge",
    422: "Invalid",
    429: "TooManyRequests",
    503: "Unavailable",
    504: "Timeout",
}
REFUSALS: Mapping[int, tuple[str, str, str, Any]] = {
    400: (
        "It cannot be read.",
        "bad_request",
        "the body is not JSON: line 1 column 1: Expecting value",
        None,
    ),
    401: (
        "There is no token, or one that is not valid.",
        "no_token",
        "this needs `Authorization: Bearer TOKEN`",
        None,
    ),
    403: (
        "The token's role is too low; or, on loopback, a foreign web page could have sent it.",
        "role_too_low",
        "the token 'metrics' is of the role viewer, this needs operator",
        None,
    ),
    404: (
        "There is no such thing.",
        "not_found",
        "no VM has the id a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
        None,
    ),
    409: (
        "A name is taken, something is in use or busy, or the state does not allow it.",
        "vms_name_taken",
        "a VM of this name exists: choose another name",
        {"name": ["a VM of this name exists: choose another name"]},
    ),
    408: ("The body is too slow.", "body_too_slow", "the body did not arrive within 30 s", None),
    413: ("The body is too large.", "body_too_large", "the body is over the limit of 1048576 bytes", None),
    422: (
        "A field or a rule is violated.",
        "invalid",
        "port: From 1 to 65535",
        {"port": ["From 1 to 65535."]},
    ),
    429: (
        "Too much at once.",
        "too_many_failures",
        "too many requests without a valid token from 192.0.2.7: try again in 42 s",
        None,
    ),
    503: ("The database or a node is away.", "database_unavailable", "PostgreSQL is away", None),
    504: (
        "The node did not answer in time.",
        "node_timeout",
        "the node of host host-1 did not answer in time; what became of it shows later",
        None,
    ),
}
"""status → (description, code, message, errors); each is a response of the document under its name."""


def refusal(status: int) -> dict[str, Any]:
    """The response of a status."""
    description, code, message, errors = REFUSALS[status]
    example: dict[str, Any] = {"message": message, "code": code, "request_id": "2c1f0d3e4b5a6978"}
    if errors:
        example["errors"] = errors
    content = {JSON: {"schema": Error(), "example": example}}
    return {
        "description": description,
        "headers": REQUEST_ID | _MORE_HEADERS.get(status, {}),
        "content": content,
    }
