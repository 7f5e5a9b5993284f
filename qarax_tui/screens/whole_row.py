"""A row with nothing cut short: every column on lines of its own, those with no room in the table too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qarax_tui.keys import BY_ID
from qarax_tui.screens.dialog import Dialog
from qarax_tui.widgets.cells import as_cell

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from qarax_tui.widgets.fleet_table import Column

_ACTION = BY_ID["whole_row"]


class WholeRow(Dialog[None]):
    """Read-only; closes with the key that opened it."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
        Binding(_ACTION.key, "dismiss", "Close", show=False, id=_ACTION.id),
    ]

    def __init__(self, columns: Sequence[Column], row: Any) -> None:
        super().__init__()
        self.lines = [(column.label, as_cell(column.cell(row)).text.strip()) for column in columns]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog whole") as box:
            box.border_title = Content(self.lines[0][1])
            box.border_subtitle = Content("esc closes")
            with VerticalScroll():
                for label, text in self.lines[1:]:
                    yield Static(Content.styled(label, "$muted"), classes="dialog-line")
                    yield Static(Content(text or "–"), classes="dialog-line indented")
