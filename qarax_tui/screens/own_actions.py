"""What the operator did in this session, each with the curl that does the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qarax_tui.client.transport import OwnAction
from qarax_tui.screens.format import moment
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

    def tick(self) -> None:
        if list(self.known) != [action.request_id for action in self.session.api.actions]:
            before = set(self.known)
            self._collect()
            if self.order.apply(set(self.known) - before, before - set(self.known)):
                self.show_order()

    def columns(self) -> Sequence[Column]:
        return (
            Column("at", "When", lambda row: moment(row.at, self.session.now()), width=10),
            Column("outcome", "Outcome", _outcome, width=14, grow=1),
            Column("took", "Took", lambda row: f"{row.seconds:.1f} s", width=8, align="right", priority=2),
            Column("curl", "As curl", lambda row: row.curl, width=40, grow=4),
        )

    def sort_keys(self) -> Mapping[str, SortKey]:
        return {
            "at": lambda row: row.at,
            "outcome": lambda row: (row.outcome, row.at),
            "took": lambda row: row.seconds,
            "curl": lambda row: row.curl,
        }

    def words(self, row: OwnAction) -> Mapping[str, str]:
        return {"outcome": row.outcome, "curl": row.curl, "method": row.method, "id": row.request_id}

    def filter_words(self) -> Sequence[str]:
        return ("outcome", "method")


def _outcome(row: OwnAction) -> Cell:
    return Cell("● ok", "good") if row.outcome == "ok" else Cell(f"✖ {row.outcome}", "bad")
