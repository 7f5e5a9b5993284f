"""What holds for every request and answer: who may talk to a loopback API, and what browsers are told.

Without tokens the only protection of a loopback API against a web page is that browsers say where they come
from: `Host` and `Origin` must be this machine's own names, or listed in `application.allowed_hosts`.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from qarax_server.api.services import SETTINGS
from qarax_server.errors import Forbidden

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that a foreign web page could have made."""
    settings = request.app[SETTINGS]
    if not settings.auth.required:
        allowed = {name.lower() for name in settings.application.allowed_hosts} | {settings.application.host}
        _check("Host", request.headers.get("Host", ""), allowed)
        if origin := request.headers.get("Origin"):
            _check("Origin", origin.partition("://")[2] or origin, allowed)
    return await handler(request)


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer, unless the handler has set its own."""
    del request
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _check(header: str, value: str, allowed: set[str]) -> None:
    name = _host_of(value)
    if name not in allowed and not _is_loopback(name):
        raise Forbidden(
            f"{header} names {value[:100]!r}, which is not this machine's loopback: "
            "add the name to application.allowed_hosts to let it in",
            code="foreign_host",
        )


def _host_of(value: str) -> str:
    try:
        return (urlsplit(f"//{value}").hostname or "").lower()
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
