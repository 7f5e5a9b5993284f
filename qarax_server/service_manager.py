"""What systemd is told, as sd_notify(3) has it: serving, alive, stopping. Nothing where nobody asked.

The watchdog's message comes from the event loop: a loop that hangs sends none, and systemd restarts the
program.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

log = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Tell the service manager that started this program, when it listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
            notifier.setblocking(False)
            notifier.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        log.warning("systemd cannot be told %s: %s", state, error)


async def keep_alive() -> None:
    """Tell it for as long as this runs, twice in each WatchdogSec=; return at once without one."""
    seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000
    while seconds:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds / 2)
