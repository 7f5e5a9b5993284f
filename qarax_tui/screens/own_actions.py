"""What the operator did in this session, each with the curl that does the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qarax_tui.client.transport import OwnAction
from qarax_tui.screens.format import moment, took
from qarax_tui.screens.own_words import words
from qarax_tui.screens.table_view import SortKey, TableView
from qarax_tui.widgets.fleet_table import Column
from qarax_tui.widgets.status import Cell


class OwnActionsView(TableView[OwnAction]):
    """Newest first."""

    view_id = "actions"
    noun = "operation"
    singular = "action"
    first_sort = ("at", True)
    empty = "Nothing was changed from here yet."

    def __init__(self) -> None:
        self.known: dict[str, OwnAction] = {}
        self.told: dict[str, str] = {}
        super().__init__()

    def prepare(self) -> None:
        self._collect()

    def refusal(self) -> str:
        return ""

    def trail(self) -> tuple[str, ...]:
        return ("My actions",)

    def rows(self) -> Mapping[str, OwnAction]:
        return self.known

    def _collect(self) -> None:
        self.known.clear()
        self.known.update((action.request_id, action) for action in self.session.api.actions)
        told = self.told
        self.told = {key: told.get(key) or words(action, self.fleet) for key, action in self.known.items()}

    def tick(self) -> None:
        if list(self.known) != [action.request_id for action in self.session.api.actions]:
            before = set(self.known)
            self._collect()
            if self.order.apply(set(self.known) - before, before - set(self.known)):
                self.show_order()

    def columns(self) -> Sequence[Column]:
        return (
            Column("at", "When", lambda row: moment(row.at, self.session.now()), width=10),
            Column("action", "Action", self._told, width=20),
            Column("outcome", "Outcome", _outcome, width=14, grow=1),
            Column("took", "Took", lambda row: took(row.seconds), width=8, align="right", priority=2),
            Column("curl", "As curl", lambda row: Cell(row.curl, "dim"), width=24, grow=8, priority=1),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "at": lambda row: row.at,
            "action": lambda row: (self._told(row), row.at),
            "outcome": lambda row: (row.outcome, row.at),
            "took": lambda row: row.seconds,
            "curl": lambda row: row.curl,
        }

    def words(self, row: OwnAction) -> Mapping[str, str]:
        return {
            "action": self._told(row),
            "outcome": row.outcome,
            "curl": row.curl,
            "method": row.method,
            "id": row.request_id,
        }

    def filter_words(self) -> Sequence[str]:
        return ("action", "outcome", "method")

    def _told(self, row: OwnAction) -> str:
        return self.told.get(row.request_id, "")


def _outcome(row: OwnAction) -> Cell:
    return Cell("● ok", "good") if row.outcome == "ok" else Cell(f"✖ {row.outcome}", "bad")
