"""Whether a VM is started again after its host's reboot: what of a kept spec may change at any time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qarax_node.machines.machine import Machine


async def keep(machine: Machine, *, autostart: bool) -> None:
    """Keep the wish; whatever runs goes on. Refused while the VM is being stopped or deleted."""
    async with machine.alone("autostart"):
        wanted = machine.wanted
        if wanted.autostart == autostart:
            return
        wanted.autostart = autostart
        await asyncio.to_thread(machine.record.keep_spec, wanted)
        machine.wish(wanted)
        machine.changed()
