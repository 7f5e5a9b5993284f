"""`qarax-server ca init|issue`: the CA between server and nodes, in files. Next: `certificates/`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from qarax_server.certificates import HOST_DAYS, Authority, Issued, folders
from qarax_server.certificates.authority import CA_DAYS, fingerprint
from qarax_server.database import Database
from qarax_server.errors import Invalid, NotFound, SettingsError
from qarax_server.models import Host
from qarax_server.settings import Settings
from qarax_server.store import hosts

LONGEST_DAYS = 36500
ON_A_HOST = "/etc/qarax/tls"
EPILOG = """\
examples:
  qarax-server ca init                      a CA and this server's certificate, in node_tls.directory
  qarax-server ca issue web-1               a certificate for the registered host web-1
  qarax-server ca issue web-1 --renew       another one before the old one ends
  qarax-server ca issue --server            a new certificate for the server itself

Server and node read theirs when they start, so renewing is: issue, copy, restart. Restarting either touches
no VM. ca.key is needed to issue and for nothing else: whoever has it can drive every node.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ca` to the command line; `options.ca_command` is what to run."""
    ca = commands.add_parser(
        "ca",
        help="certificates for mutual TLS between server and nodes",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = ca.add_subparsers(required=True, metavar="VERB")
    init = verbs.add_parser("init", help="make a CA, and the server's certificate")
    init.add_argument("--days", type=_days, default=CA_DAYS, help=f"how long it lasts (default {CA_DAYS})")
    init.set_defaults(ca_command=_init)
    issue = verbs.add_parser("issue", help="make certificates for hosts, or for the server")
    issue.add_argument("hosts", nargs="*", metavar="HOST", help="name or id of a registered host")
    issue.add_argument("--server", action="store_true", help="for the server itself")
    issue.add_argument("--output", type=_place, metavar="DIR", help="where hosts' go (default D/hosts)")
    issue.add_argument("--days", type=_days, default=HOST_DAYS, help=f"default {HOST_DAYS}")
    issue.add_argument("--renew", action="store_true", help="also when the present one is good for longer")
    issue.set_defaults(ca_command=_issue)
    for each in (init, issue):
        each.add_argument("--directory", type=_place, metavar="D", help="of the CA (node_tls.directory)")


async def run(settings: Settings, options: argparse.Namespace) -> None:
    """Do what was asked for.

    Raises:
        QaraxError: it cannot be done; the message says why.
    """
    configured = settings.node_tls.directory
    directory = options.directory or (Path(configured) if configured else None)
    if directory is None:
        raise SettingsError("where is the CA? Say --directory D, or set node_tls.directory")
    try:
        await options.ca_command(settings, options, directory)
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be written: {error.strerror}") from error


async def _init(settings: Settings, options: argparse.Namespace, directory: Path) -> None:
    del settings
    authority = folders.create(directory, options.days)
    folders.keep(directory / folders.SERVER, authority.issue_for_server(min(options.days, HOST_DAYS)))
    _say(
        f"made a CA in {directory}, SHA-256 {fingerprint(authority.certificate)}\n"
        f"The server reads its certificate there: node_tls.directory: {directory}\n"
        f"Keep {directory / 'ca.key'} secret and in a backup; then: qarax-server ca issue HOST"
    )


async def _issue(settings: Settings, options: argparse.Namespace, directory: Path) -> None:
    if bool(options.hosts) == options.server:
        raise Invalid("qarax-server ca issue takes the names or ids of hosts, or --server")
    authority = Authority.load(directory)
    if options.server:
        folder = directory / folders.SERVER
        if _kept(authority, folder, options, authority.issue_for_server):
            _say("Restart qarax-server for it to be used; no VM and no node notices.")
        return
    for host in await _find(settings, options.hosts):
        _issue_for(authority, host, options.output or directory / folders.HOSTS, options)


def _issue_for(authority: Authority, host: Host, output: Path, options: argparse.Namespace) -> None:
    folder = output / host.name

    def issue(days: int) -> Issued:
        return authority.issue_for_host(host.id, host.name, host.address, days)

    if _kept(authority, folder, options, issue):
        _say(
            f"Copy it to the host: scp {folder}/*.pem {host.host_user}@{host.address}:{ON_A_HOST}/\n"
            f"and restart its node, which touches no VM: qarax-node --tls-directory {ON_A_HOST}"
        )


def _kept(
    authority: Authority, folder: Path, options: argparse.Namespace, issue: Callable[[int], Issued]
) -> bool:
    """Issue into a folder, unless what is there will do; say which."""
    issued = issue(options.days)
    until = folders.ensure(folder, authority, issued, renew=options.renew)
    if until is not None:
        _say(f"{folder}: good until {until:%Y-%m-%d}, left as it is (--renew makes another)")
        return False
    _say(f"{folder}: valid until {issued.expires_at:%Y-%m-%d}")
    return True


async def _find(settings: Settings, wanted: list[str]) -> list[Host]:
    database = Database(settings.database)
    try:
        async with database.connection() as connection:
            known = await hosts.list_hosts(connection)
    finally:
        await database.close()
    named = {host.name: host for host in known} | {host.id: host for host in known}
    if missing := [each for each in wanted if each not in named]:
        raise NotFound(f"no host is registered as {', '.join(missing)}: register it first, or see its name")
    return [named[each] for each in wanted]


def _place(text: str) -> Path:
    return Path(text).absolute()


def _days(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= LONGEST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to {LONGEST_DAYS}")
    return int(text)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
