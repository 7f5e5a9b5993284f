"""Bearer tokens: how they are made, and whose a given one is.

A token is `qarax_` and 256 random bits. The database keeps its SHA-256 alone: with that many bits no salt and
no slow hash is needed, and whoever reads the database has no token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid

from qarax_server import caller
from qarax_server.database import Database, Event, Transaction
from qarax_server.errors import Invalid, NotFound, Unauthorized
from qarax_server.roles import GRANTED, Role
from qarax_server.store import tokens
from qarax_server.store.tokens import Token

PREFIX = "qarax_"
RANDOM_BYTES = 32
FORM = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ANONYMOUS, LOCAL = "anonymous", "local"
RESERVED = frozenset({ANONYMOUS, LOCAL, caller.SERVER.actor})
"""Actors that are no tokens."""

HOW = "an administrator makes one with: qarax-server token create NAME --role ROLE"


async def create(database: Database, name: str, role: Role, seconds: float | None) -> tuple[str, Token]:
    """Make a token and return it, for the only time, with its row.

    Args:
        database: where its digest goes.
        name: the actor of what is done with it.
        role: one of `GRANTED`.
        seconds: how long it is valid; None for good.

    Raises:
        Invalid: the name or the role is none.
        Conflict: a token of this name is not revoked yet.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise Invalid(
            f"{name[:70]!r} cannot name a token: 1 to 63 letters, digits, '.', '_' or '-', beginning with a "
            f"letter or digit, and none of {', '.join(sorted(RESERVED))}"
        )
    if role not in GRANTED:
        raise Invalid(f"a token's role is one of {', '.join(GRANTED)}")
    text = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    async with database.transaction() as tx:
        token = await tokens.insert_token(tx, name, role, digest_of(text), seconds)
        until = f"until {token.expires_at:%Y-%m-%d %H:%M}Z" if token.expires_at else "until it is revoked"
        _record(tx, "create", token, f"the token {name} ({role}) was made, valid {until}")
    return text, token


async def revoke(database: Database, name: str) -> None:
    """Let a token in no more.

    Raises:
        NotFound: there is none of this name to revoke.
    """
    async with database.transaction() as tx:
        token = await tokens.revoke_token(tx, name)
        if token is None:
            raise NotFound(f"no token to revoke is called {name!r}: qarax-server token list")
        _record(tx, "revoke", token, f"the token {name} ({token.role}) was revoked")


async def note_burst(database: Database, address: str, failures: int) -> None:
    """Write into the flight recorder that an address failed to identify itself once too often."""
    caller.become(caller.SERVER)
    # an address has no id: the same one for the same address, so that its events can be found together
    subject = str(uuid.uuid5(uuid.NAMESPACE_OID, address))
    message = f"{failures} requests of {address} within a minute had no valid token: refused until it is over"
    async with database.transaction() as tx:
        tx.record(Event("refuse", "token", subject, address, message))


def _record(tx: Transaction, action: str, token: Token, message: str) -> None:
    tx.record(Event(action, "token", token.id, token.name, message))


async def identify(database: Database, text: str) -> Token:
    """Return the valid token that this is.

    Raises:
        Unauthorized: it is none, or no more.
        DatabaseUnavailable: nobody can be asked.
    """
    digest = digest_of(text)
    async with database.connection() as connection:
        token = await tokens.use_token(connection, digest)
    if token is None or not hmac.compare_digest(token.digest, digest):
        raise Unauthorized(f"this token is not known here; {HOW}", code="unknown_token")
    if token.status != "valid":
        raise Unauthorized(f"the token {token.name!r} is {token.status}; {HOW}", code=f"{token.status}_token")
    return token


def digest_of(text: str) -> str:
    """The SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()
