"""What a `FleetTable` says. Newer `Highlighted` messages replace queued ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from qarax_tui.widgets.table_base import TableBase


class TableMessage(Message):
    """Anything a table says."""

    def __init__(self, table: TableBase) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> TableBase:
        """For `@on(…, "#id")`."""
        return self.table


class Highlighted(TableMessage):
    """The cursor came to a row, or its object went away (`row_id` None)."""

    def __init__(self, table: TableBase, row_id: str | None) -> None:
        super().__init__(table)
        self.row_id = row_id

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Highlighted) and message.table is self.table


class Activated(TableMessage):
    """Enter or a double click on a row."""

    def __init__(self, table: TableBase, row_id: str) -> None:
        super().__init__(table)
        self.row_id = row_id


class MarksChanged(TableMessage):
    """Rows were marked or unmarked."""

    def __init__(self, table: TableBase, marked: frozenset[str]) -> None:
        super().__init__(table)
        self.marked = marked


class SortRequested(TableMessage):
    """A click on a column's header."""

    def __init__(self, table: TableBase, column_key: str) -> None:
        super().__init__(table)
        self.column_key = column_key
