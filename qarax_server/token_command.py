"""`qarax-server token create|list|revoke`: straight to the database, by the settings of the server."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
import uuid
from datetime import datetime

from qarax_server import caller
from qarax_server.control import tokens
from qarax_server.database import Database
from qarax_server.migrations import migrate
from qarax_server.roles import GRANTED, Role
from qarax_server.settings import Settings
from qarax_server.store import tokens as store
from qarax_server.store.tokens import Token

DEFAULT_LIFETIME = "90d"
LONGEST_DAYS = 36500
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
COLUMNS = ("NAME", "ROLE", "STATUS", "CREATED", "EXPIRES", "REVOKED", "LAST USED")
EPILOG = """\
examples:
  qarax-server token create alice --role operator
  QARAX_TOKEN=$(qarax-server token create ci --role operator --expires-in 12h)
  qarax-server token create prometheus --role viewer --expires-in never
  qarax-server token revoke alice

viewer looks; operator drives VMs, images and boot sources as well; admin also adds hosts and storage pools.
A token is shown once, on standard output; only its SHA-256 is kept. A revoked one is refused at once, its
open consoles and event streams end within seconds.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `token` to the command line; `options.token_command` is what to run."""
    raw = argparse.RawDescriptionHelpFormatter
    token = commands.add_parser(
        "token", help="make, list and revoke bearer tokens", epilog=EPILOG, formatter_class=raw
    )
    verbs = token.add_subparsers(required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a token and show it, once")
    create.add_argument("name", help="the actor of what is done with it")
    create.add_argument("--role", required=True, choices=[role.value for role in GRANTED])
    create.add_argument(
        "--expires-in",
        type=_lifetime,
        default=DEFAULT_LIFETIME,
        metavar="TIME",
        help=f"90d, 12h, 30m or never (default {DEFAULT_LIFETIME})",
    )
    create.set_defaults(token_command=_create)
    verbs.add_parser("list", help="list all tokens, expired and revoked ones too").set_defaults(
        token_command=_list
    )
    revoke = verbs.add_parser("revoke", help="let a token in no more")
    revoke.add_argument("name")
    revoke.set_defaults(token_command=_revoke)


async def run(settings: Settings, options: argparse.Namespace) -> None:
    """Do what was asked for; the schema is brought up to date first.

    Raises:
        QaraxError: it cannot be done; the message says why.
    """
    caller.become(caller.Caller(_user(), uuid.uuid4().hex))
    database = Database(settings.database)
    try:
        await migrate(database)
        await options.token_command(database, options)
    finally:
        await database.close()


async def _create(database: Database, options: argparse.Namespace) -> None:
    text, token = await tokens.create(database, options.name, Role(options.role), options.expires_in)
    until = f"until {_time(token.expires_at)}" if token.expires_at else "until it is revoked"
    sys.stderr.write(
        f"the token {token.name} ({token.role}) is valid {until}; this is the only time it is shown:\n"
    )
    sys.stdout.write(f"{text}\n")


async def _list(database: Database, _: argparse.Namespace) -> None:
    async with database.connection() as connection:
        rows = [COLUMNS, *map(_cells, await store.list_tokens(connection))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


async def _revoke(database: Database, options: argparse.Namespace) -> None:
    await tokens.revoke(database, options.name)
    sys.stdout.write(f"the token {options.name} is revoked\n")


def _user() -> str:
    """The actor of what is done here: `shell:NAME`, which no token can be called."""
    return f"shell:{os.environ.get('SUDO_USER') or getpass.getuser()}"


def _cells(token: Token) -> tuple[str, ...]:
    times = (token.created_at, token.expires_at, token.revoked_at, token.last_used_at)
    return (token.name, token.role.value, token.status, *map(_time, times))


def _time(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M}Z" if value else "-"


def _lifetime(text: str) -> float | None:
    """Seconds, or None for `never`."""
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,8})([dhms])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST_DAYS * _UNITS["d"]:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90d, 12h, 30m or never")
    return seconds
