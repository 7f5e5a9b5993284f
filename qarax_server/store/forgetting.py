"""Old history goes a batch at a time: one statement over all of it might run into its time limit."""

from __future__ import annotations

from typing import Any

from qarax_server.database import Connection

BATCH = 10_000


async def forget(c: Connection, statement: str, **parameters: Any) -> int:
    """Run a statement that deletes at most `most` rows until it finds fewer; return how many went."""
    total = 0
    while True:
        count = await c.execute(statement, most=BATCH, **parameters)
        total += count
        if count < BATCH:
            return total
