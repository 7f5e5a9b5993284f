"""`qarax-server`: the composition root. Everything is made here, and nothing is decided.

It listens at once, so that its health can be asked for; it becomes ready when PostgreSQL answers, the schema
is up to date and it holds the lease. SIGTERM lets running actions end, then it gives the lease back.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import errno
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from qarax_server import ca_command, memory, service_manager, token_command
from qarax_server import settings as configuration
from qarax_server.api.connections import Runner
from qarax_server.control.tasks import end
from qarax_server.database import Database
from qarax_server.errors import QaraxError, SettingsError
from qarax_server.logs import set_up_logging
from qarax_server.migrations import migrate
from qarax_server.server import Server
from qarax_server.settings import Settings

log = logging.getLogger(__name__)

LARGEST_PORT = 65535

EPILOG = """\
configuration: base.yaml, then {APP_ENVIRONMENT}.yaml (local by default) from QARAX_CONFIG_DIR, then the
environment: DATABASE_HOST|PORT|USERNAME|PASSWORD|NAME, VM_KERNEL|INITRAMFS|CMDLINE|ROOTFS, and
QARAX__SECTION__KEY for any key.

examples:
  qarax-server --show-settings                          what would be in force, secrets masked
  DATABASE_HOST=/run/postgresql qarax-server            PostgreSQL over its unix socket
  QARAX__APPLICATION__PORT=8080 qarax-server            another port
  qarax-server token create alice --role operator       a bearer token, for auth.required
  qarax-server ca init                                  certificates for hosts on other machines

PostgreSQL may come later: /healthz answers at once, /readyz when the server can do its work.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the control plane; the exit code is 1 with one sentence when it cannot."""
    os.umask(0o077)
    options = _parser().parse_args(arguments)
    try:
        settings = _with_options(configuration.load(directory=options.config_dir), options)
        if options.show_settings:
            sys.stdout.write(configuration.masked(settings))
            return
        if options.command == "token":
            asyncio.run(token_command.run(settings, options))
            return
        if options.command == "ca":
            asyncio.run(ca_command.run(settings, options))
            return
        _check_listener(settings)
        set_up_logging(settings.application.log_level, settings.application.log_format)
        asyncio.run(_migrate_only(settings) if options.migrate_only else serve(settings))
    except QaraxError as error:
        sys.exit(f"qarax-server: {error.message}")
    except OSError as error:
        sys.exit(f"qarax-server: {_why_not_listening(settings, error)}")


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    _allow_connections()
    memory.return_large_blocks()
    application = settings.application
    server = Server(settings, f"{socket.gethostname()}/{application.host}:{application.port}")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = Runner(server.app, application, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, application.host, application.port, reuse_address=True)
        await site.start()
        for address in runner.addresses:
            log.info("listening on http://%s:%d", *address[:2])
        service_manager.notify("READY=1")
        meanwhile = [
            asyncio.create_task(each) for each in (service_manager.keep_alive(), memory.keep_returning())
        ]
        try:
            await server.run_until(stopping)
        finally:
            await end(*meanwhile)
        service_manager.notify("STOPPING=1")
        await site.stop()
        await server.drain()
    finally:
        await runner.cleanup()
        await server.close()


def _allow_connections() -> None:
    """As many open files as this process may have: the usual 1,024 are fewer than its connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _migrate_only(settings: Settings) -> None:
    database = Database(settings.database)
    try:
        names = await migrate(database)
    finally:
        await database.close()
    sys.stdout.write(f"{len(names)} migrations applied: {', '.join(names) or 'the schema was up to date'}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qarax-server",
        description="The control plane of qarax: REST and events on one side, the nodes on the other.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on (application.host)")
    parser.add_argument("--port", type=_port, help="port to listen on (application.port)")
    parser.add_argument("--config-dir", type=Path, metavar="D", help="where base.yaml is (QARAX_CONFIG_DIR)")
    parser.add_argument("--migrate-only", action="store_true", help="bring the schema up to date and end")
    parser.add_argument("--show-settings", action="store_true", help="print the settings in force and end")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    token_command.add(commands)
    ca_command.add(commands)
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {LARGEST_PORT}, not {text}")
    return int(text)


def _with_options(settings: Settings, options: argparse.Namespace) -> Settings:
    given = {"host": options.host, "port": options.port}
    chosen = {name: value for name, value in given.items() if value is not None}
    application = dataclasses.replace(settings.application, **chosen)
    return dataclasses.replace(settings, application=application)


def _why_not_listening(settings: Settings, error: OSError) -> str:
    where = f"{settings.application.host}:{settings.application.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken: another program listens there; end it, or choose another with --port"
    return f"cannot listen on {where}: {error.strerror or error}"


def _check_listener(settings: Settings) -> None:
    host = settings.application.host
    if settings.auth.required or host == "localhost" or _is_loopback(host):
        return
    raise SettingsError(
        f"application.host is {host}, beyond loopback, and auth.required is false: anyone could drive the "
        "VMs. Set auth.required, or listen on 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    """Whether it is an address of this machine alone; a name that resolves is anybody's guess."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main()
