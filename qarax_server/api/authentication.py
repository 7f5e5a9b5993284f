"""Who is calling, and may they: decided from the headers alone, before anything of a body is read.

With `auth.required` every route needs a token of the role that its `documented(role=…)` names; routes of the
role `anyone` need none, and an address that is no route needs any token. Without it the API is on loopback,
whoever comes is `local` and an admin, and `conventions.py` keeps foreign web pages out.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from aiohttp import web
from aiohttp.typedefs import Handler

from qarax_server import caller
from qarax_server.api.documented import needed_role
from qarax_server.api.keys import REQUEST_ID, ROLE
from qarax_server.api.services import CORE, DATABASE, SETTINGS
from qarax_server.api.streams import STREAMS, is_stream
from qarax_server.control import tokens
from qarax_server.control.failures import Failures
from qarax_server.database import Database
from qarax_server.errors import DatabaseUnavailable, Forbidden, TooManyRequests, Unauthorized
from qarax_server.roles import Role
from qarax_server.store.tokens import Token, list_valid_digests

log = logging.getLogger(__name__)

SCHEME = "bearer"
REFRESH_SECONDS = 1.0
MOST_BURSTS = 30
"""Events about failures per minute, from whatever many addresses."""

EVERYBODY = "everybody"


class Gate:
    """Who failed lately, and which tokens are good.

    Behind one proxy everybody has the same address, so a stranger's failures must not lock the others out: of
    an address that failed too often, what is no valid token is refused without a look into the database.
    """

    def __init__(self) -> None:
        self._failures, self._bursts = Failures(), Failures()
        self._valid: frozenset[str] = frozenset()
        self._valid_until = 0.0

    async def identify(self, request: web.Request) -> Token:
        """Return the valid token of a request.

        Raises:
            Unauthorized: it has none.
            TooManyRequests: it has none, and its address has failed too often.
        """
        address, database = request.remote or "", request.app[DATABASE]
        wait = self._failures.seconds_to_wait(address, request.app[SETTINGS].auth.failures_per_minute)
        try:
            text = _presented(request)
            if not wait or await self._may_be_valid(database, tokens.digest_of(text)):
                return await tokens.identify(database, text)
        except Unauthorized as error:
            if not wait:
                self._note(request, address)
                log.warning("refused %s: %s", address, error.code)
                raise
        raise TooManyRequests(
            f"too many requests without a valid token from {address}: try again in {wait} s",
            code="too_many_failures",
            retry_after=wait,
        )

    def _note(self, request: web.Request, address: str) -> None:
        """Count a failure; the one that was too many goes into the flight recorder."""
        self._failures.note(address)
        most = request.app[SETTINGS].auth.failures_per_minute
        if not self._failures.seconds_to_wait(address, most):
            return
        self._bursts.note(EVERYBODY)
        if not self._bursts.seconds_to_wait(EVERYBODY, MOST_BURSTS):
            request.app[CORE].tasks.start(tokens.note_burst(request.app[DATABASE], address, most))

    async def _may_be_valid(self, database: Database, digest: str) -> bool:
        """Whether it was valid a moment ago; the database is asked now and then, however often this is."""
        if time.monotonic() >= self._valid_until:
            self._valid_until = time.monotonic() + REFRESH_SECONDS
            async with database.connection() as connection:
                self._valid = frozenset(await list_valid_digests(connection))
        return digest in self._valid


GATE = web.AppKey("gate", Gate)


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its handler when its caller may make it."""
    if not request.app[SETTINGS].auth.required:
        return await _go_on(request, handler, tokens.LOCAL, Role.ADMIN)
    # aiohttp answers an address that is no route with an error of its own
    no_route = request.match_info.http_exception is not None
    needed = Role.VIEWER if no_route else needed_role(request.match_info.handler)
    with _little_for_strangers():
        if needed is Role.ANYONE:
            return await _go_on(request, handler, tokens.ANONYMOUS, Role.ANYONE)
        token = await request.app[GATE].identify(request)
    if not token.role.covers(needed):
        raise Forbidden(
            f"the token {token.name!r} is of the role {token.role}, this needs {needed}", code="role_too_low"
        )
    if not is_stream(request):
        return await _go_on(request, handler, token.name, token.role)
    most = request.app[SETTINGS].auth.streams_per_token
    with request.app[STREAMS].opened(request, token, most):
        return await _go_on(request, handler, token.name, token.role)


@contextlib.contextmanager
def _little_for_strangers() -> Iterator[None]:
    """Keep the database's own words, with its address and user, from those who have shown no token."""
    try:
        yield
    except DatabaseUnavailable as error:
        log.debug("told a stranger that the database is away: %s", error)
        raise DatabaseUnavailable("the database is away: the server's log says more") from error


async def _go_on(request: web.Request, handler: Handler, actor: str, role: Role) -> web.StreamResponse:
    caller.become(caller.Caller(actor, request[REQUEST_ID]))
    request[ROLE] = role
    return await handler(request)


def _presented(request: web.Request) -> str:
    """The token in the `Authorization` header; what cannot be one is refused unseen."""
    given = request.headers.getall("Authorization", [])
    if not given:
        raise Unauthorized(f"this needs `Authorization: Bearer TOKEN`; {tokens.HOW}", code="no_token")
    scheme, _, text = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != SCHEME or not tokens.FORM.fullmatch(text.strip()):
        raise Unauthorized("Authorization holds no token: it is `Bearer qarax_…`", code="not_a_token")
    return text.strip()
