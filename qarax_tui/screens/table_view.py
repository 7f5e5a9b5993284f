"""A view that is one list: filter, sort, marks, and a cursor that stays on its object.

Subclasses say which noun, which columns, and what `name=` means in a filter; the table itself is
`widgets.fleet_table`, the order is kept by `client.ordering`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import on
from textual.content import Content

from qarax_tui.client.ordering import Ordering
from qarax_tui.client.records import Noun
from qarax_tui.screens.filtering import Filter, parse
from qarax_tui.screens.format import count, natural
from qarax_tui.screens.later import later
from qarax_tui.screens.prompt import Asking
from qarax_tui.screens.view import View
from qarax_tui.widgets.cells import as_cell
from qarax_tui.widgets.fleet_table import Column, FleetTable
from qarax_tui.widgets.table_messages import SortRequested

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from qarax_tui.client.changes import Changes

Row = TypeVar("Row")
SortKey = Callable[[Any], Any]


class TableView(View, Generic[Row]):
    """One noun of the fleet as a table."""

    noun: ClassVar[Noun]
    nouns: ClassVar[tuple[Noun, ...]] = ()
    """Every noun that has rows here, where it is more than `noun`."""
    enter: ClassVar[str] = ""
    """The action of Enter and double click."""
    singular: ClassVar[str] = "row"
    empty: str = ""
    """What to do when there is no row; `{create}` stands for the key of that action."""
    first_sort: ClassVar[tuple[str, bool]] = ("name", False)

    def __init__(self) -> None:
        super().__init__()
        self.filter = Filter()
        self.sort_column, self.descending = self.first_sort
        self.table = FleetTable(self.columns(), id=f"{self.view_id}-table")
        self.order: Ordering[Row]

    # --- what a subclass says ----------------------------------------------------------------------------

    def columns(self) -> Sequence[Column]:
        raise NotImplementedError

    def sort_keys(self) -> Mapping[str, SortKey]:
        """Sort keys by column; a column that is not here is sorted by what it shows."""
        raise NotImplementedError

    def words(self, row: Row) -> Mapping[str, str]:
        """What a filter sees: `name=` words; plain text is looked for in all of them."""
        raise NotImplementedError

    def rows(self) -> Mapping[str, Row]:
        """The objects by id, live."""
        raise NotImplementedError

    # --- the list ----------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.table

    def prepare(self) -> None:
        """Called once, before the first order is made."""

    def on_mount(self) -> None:
        self.prepare()
        self.order = Ordering(self.rows(), key=self._sort_key(), keep=self._keep(), reverse=self.descending)
        self.show_order()

    def take(self, changes: Changes) -> None:
        nouns = self.nouns or (self.noun,)
        if changes.connection or any(changes.reset(noun) for noun in nouns):
            self.rearrange()
        else:
            changed = frozenset[str]().union(*(changes.changed(noun) for noun in nouns))
            removed = frozenset[str]().union(*(changes.removed(noun) for noun in nouns))
            if (changed or removed) and self.order.apply(changed, removed):
                self.table.set_rows(self.order.ids, self.rows().get)
            self.table.update_rows(changed)

    def catch_up(self) -> None:
        self.rearrange()

    def rearrange(self) -> None:
        self.order.arrange(key=self._sort_key(), keep=self._keep(), reverse=self.descending)
        self.show_order()

    def show_order(self) -> None:
        self.table.empty = self.empty_text()
        self.table.set_rows(self.order.ids, self.rows().get)
        self.table.set_sort(self.sort_column, self.descending)
        self.announce()

    def empty_text(self) -> str:
        if (refusal := self.refusal()) and not self.rows():
            return f"This list could not be read:\n{refusal}\nIt is asked for again by itself."
        if self.filter.tests and self.rows():
            return f"Nothing matches “{self.filter.text}”.\nesc clears the filter."
        if self.fleet.connection.state != "live" and not self.rows():
            connection = self.fleet.connection
            return f"{connection.sentence}\n{connection.fix}" if connection.sentence else "Connecting…"
        return self.session.keymap.fill(self.empty)

    def refusal(self) -> str:
        """Why not all of this list could be read, as a sentence; empty when it was."""
        refused = self.fleet.refused
        return next((refused[noun] for noun in self.nouns or (self.noun,) if noun in refused), "")

    def _sort_key(self) -> SortKey:
        known = self.sort_keys().get(self.sort_column)
        if known is not None:
            return known
        shown = next(column.cell for column in self.table.columns if column.key == self.sort_column)
        return lambda row: natural(as_cell(shown(row)).text)

    @property
    def sortable(self) -> tuple[str, ...]:
        """The columns one can sort by, those without room included."""
        return tuple(column.key for column in self.table.columns)

    def _keep(self) -> Callable[[Row], bool] | None:
        wanted = self.filter
        if not wanted.tests:
            return None

        def keep(row: Row) -> bool:
            words = self.words(row)
            return wanted.keeps("\n".join(words.values()).lower(), words)

        return keep

    def targets(self) -> list[Row]:
        """The marked rows, else the one under the cursor; gone ones are left out."""
        rows = self.rows()
        return [rows[row_id] for row_id in self.table.targets() if row_id in rows]

    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows().get(self.table.cursor_id or "")

    def noun_of(self, row: Row) -> Noun:
        """What kind of thing a row is; lists of several kinds tell them apart here."""
        del row
        return self.noun

    def subject(self) -> tuple[Noun, Any] | None:
        """The row under the cursor, whatever is marked."""
        record = self.current()
        return None if record is None else (self.noun_of(record), record)

    def do_whole_row(self) -> None:
        row = self.current()
        if row is None:
            self.main.toast("There is nothing under the cursor to read.", severity="warning")
        else:
            self.app.push_screen(later("whole_row:WholeRow")(self.columns(), row))

    def focus_inside(self) -> None:
        self.table.focus()

    def note(self) -> Content:
        shown, all_rows = len(self.order.ids), len(self.rows())
        marked = len(self.table.marked)
        return Content.assemble(
            ("not all could be read  " if self.refusal() else "", "bold $error"),
            (f"{marked} marked  " if marked else "", "bold $warning"),
            (f"filter {self.filter.text}  " if self.filter.text else "", "$accent"),
            (f"{shown:,} of {all_rows:,}" if self.filter.text else self.total(), "$muted"),
        )

    def total(self) -> str:
        """How many rows there are, in words."""
        return count(len(self.rows()), self.singular)

    # --- events of the table -----------------------------------------------------------------------------

    @on(FleetTable.Highlighted)
    @on(FleetTable.MarksChanged)
    def _moved(self) -> None:
        self.announce()

    @on(FleetTable.Activated)
    def _activated(self) -> None:
        if self.enter:
            self.main.perform(self.enter)

    @on(FleetTable.SortRequested)
    def _sort_clicked(self, event: SortRequested) -> None:
        self.sort_by(event.column_key)

    # --- actions -----------------------------------------------------------------------------------------

    def sort_by(self, column: str) -> None:
        """Sort by a column of `sortable`; by the same one again turns it round."""
        self.descending = not self.descending if column == self.sort_column else False
        self.sort_column = column
        self.rearrange()

    def set_filter(self, text: str) -> str:
        """Filter by this text; returns the complaint about it, "" when it is in force."""
        try:
            self.filter = parse(text, frozenset(self.filter_words()))
        except ValueError as error:
            return str(error)
        self.rearrange()
        self._put_cursor_on_a_row()
        return ""

    def _put_cursor_on_a_row(self) -> None:
        """The operator's own filter took the row away: the first one shown is as good as any."""
        if self.table.cursor_id is None and self.order.ids:
            self.table.move_to(self.order.ids[0])

    def filter_words(self) -> Sequence[str]:
        return ("status",)

    def do_sort(self) -> None:
        shown = self.table.visible_columns
        place = shown.index(self.sort_column) + 1 if self.sort_column in shown else 0
        self.descending = False
        self.sort_column = shown[place % len(shown)]
        self.rearrange()

    def do_reverse(self) -> None:
        self.sort_by(self.sort_column)

    def do_mark(self) -> None:
        self.table.mark_and_go_on()

    def do_mark_all(self) -> None:
        self.table.mark_all()

    def do_unmark(self) -> None:
        self.table.clear_marks()

    def do_filter(self) -> None:
        words, cursor = " ".join(f"{word}=" for word in self.filter_words()), self.table.cursor_id
        self.main.ask(
            Asking(
                "/",
                self.filter.text,
                self.set_filter,
                lambda _: self.main.back_to_view(),
                lambda: self._drop_filter(cursor),
                hint=f"text /regex/ !not {words}",
            )
        )

    def _drop_filter(self, cursor: str | None) -> None:
        """Given up while it was typed: the cursor is where it was, if what was typed hid that row."""
        self.set_filter("")
        if cursor is not None:
            self.table.move_to(cursor)
        self.main.back_to_view()

    def step_back(self) -> bool:
        """Clear the filter, else the marks; False when there was neither."""
        if self.filter.text:
            self.set_filter("")
        elif self.table.marked:
            self.table.clear_marks()
        else:
            return False
        return True
