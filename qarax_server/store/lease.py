"""The one lease, by the database's clock."""

from __future__ import annotations

from qarax_server import queries
from qarax_server.database import Connection

LEASE = queries.load("lease")


async def get_mark(c: Connection) -> str | None:
    """Return what changes with every renewal; None while nobody ever had the lease."""
    mark: str | None = await c.fetch_value(LEASE.get_lease)
    return mark


async def claim_lease(c: Connection, holder: str, seconds: float, stale: str | None = None) -> int | None:
    """Become the active server and return the fencing number; None while another one is.

    `stale` is the mark of a lease that was not renewed for as long as it lasts: it counts as free.
    """
    fence: int | None = await c.fetch_value(LEASE.claim_lease, holder=holder, seconds=seconds, stale=stale)
    return fence


async def update_lease(c: Connection, holder: str, fence: int, seconds: float) -> bool:
    """Stay the active server; False when another one took over."""
    return await c.fetch_value(LEASE.renew_lease, holder=holder, fence=fence, seconds=seconds) is not None


async def delete_lease(c: Connection, holder: str, fence: int) -> None:
    """Let another server take over at once; the fencing number stays remembered."""
    await c.execute(LEASE.release_lease, holder=holder, fence=fence)
