"""Figures for `/metrics` that only the database knows."""

from __future__ import annotations

from qarax_server import queries
from qarax_server.database import Connection

METRICS = queries.load("metrics")


async def list_figures(connection: Connection) -> list[tuple[str, str, int]]:
    """List (kind, status, how many) of hosts, VMs, transfers and operations."""
    rows = await connection.fetch_all(METRICS.list_figures)
    return [(row["kind"], row["status"], row["amount"]) for row in rows]
