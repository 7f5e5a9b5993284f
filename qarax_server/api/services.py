"""What handlers find on the application, and the work behind it that no request starts.

The composition root calls `provide` once, `take_up` whenever this server becomes the active one and `let_go`
when it is that no more, and runs `maintain` beside the application.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from qarax_server.control.core import Core
from qarax_server.control.deployment.deployments import Deployments
from qarax_server.control.deployment.steps import AskNode
from qarax_server.control.disks import Disks
from qarax_server.control.pool_checks import PoolChecks
from qarax_server.control.transfers import Transfers
from qarax_server.database import Database
from qarax_server.errors import QaraxError
from qarax_server.settings import Settings
from qarax_server.store import idempotency

log = logging.getLogger(__name__)

MAINTAIN_SECONDS = 30.0

CORE = web.AppKey("core", Core)
SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
TRANSFERS = web.AppKey("transfers", Transfers)
DISKS = web.AppKey("disks", Disks)
DEPLOYMENTS = web.AppKey("deployments", Deployments)


def provide(app: web.Application, core: Core, ask_node: AskNode) -> None:
    """Put everything on the application that its handlers need; `ask_node` is the monitor's."""
    app[CORE] = core
    app[SETTINGS] = core.settings
    app[DATABASE] = core.database
    app[TRANSFERS] = Transfers(core)
    app[DISKS] = Disks(core)
    app[DEPLOYMENTS] = Deployments(core, ask_node)
    app.on_cleanup.append(let_go)


async def take_up(app: web.Application) -> None:
    """Go on with what the server before this one had begun: transfers and disks; settle deployments."""
    await app[TRANSFERS].take_up()
    await app[DISKS].take_up()
    await app[DEPLOYMENTS].take_up()


async def maintain(app: web.Application) -> None:
    """Now and then, while this server is the active one: ask about pools, settle what was cut off, forget."""
    core = app[CORE]
    checks = PoolChecks(core.database, core.nodes)
    while True:
        await asyncio.sleep(MAINTAIN_SECONDS)
        if not core.lease.active:
            continue
        try:
            await app[DISKS].take_up()
            await app[DEPLOYMENTS].take_up()
            await checks.look()
            async with core.database.connection() as connection:
                await idempotency.delete_old_keys(connection, core.settings.retention.idempotency_hours)
        except QaraxError as error:
            log.warning("the pools were not looked at: %s", error)


async def let_go(app: web.Application) -> None:
    """Stop what was begun: this server ends, or another one is the active one and takes it up."""
    await app[TRANSFERS].close()
    await app[DISKS].close()
    await app[DEPLOYMENTS].close()
