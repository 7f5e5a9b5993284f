"""Reading what must be there: the row, or the text that a GET answers, or the noun's NotFound."""

from __future__ import annotations

from typing import Any

from qarax_server.database import Connection, Row
from qarax_server.errors import NotFound


async def find(connection: Connection, statement: str, missing: NotFound, **parameters: Any) -> Row:
    """Return the row of a statement, or raise `missing`."""
    row = await connection.fetch_one(statement, **parameters)
    if row is None:
        raise missing
    return row


async def find_document(connection: Connection, statement: str, missing: NotFound, **parameters: Any) -> str:
    """Return the JSON text that a statement selects, or raise `missing`."""
    text: str | None = await connection.fetch_value(statement, **parameters)
    if text is None:
        raise missing
    return text
