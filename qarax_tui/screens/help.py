"""The keys of the view one is in, from the action table, on one screen."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qarax_tui.keys import BY_ID, Action, for_view
from qarax_tui.screens.dialog import Dialog
from qarax_tui.screens.session import Session

_MOVES = ("↑↓ j k", "Move; g G to the ends, ← → columns")


class Help(Dialog[None]):
    """Two columns: what works in this view, and what works everywhere."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "Close", show=False),
        Binding(BY_ID["help"].key, "dismiss", "Close", show=False, id="help"),
    ]

    def __init__(self, view_id: str, session: Session) -> None:
        super().__init__()
        self.view_id, self.keymap, self.read_only = view_id, session.keymap, session.api.read_only

    def compose(self) -> ComposeResult:
        here = [action for action in for_view(self.view_id) if "*" not in action.views]
        everywhere = [action for action in for_view(self.view_id) if "*" in action.views]
        with Vertical(classes="dialog help") as box:
            box.border_title = Content("Keys here")
            marks = "dim is off: read-only" if self.read_only else "bold asks first"
            box.border_subtitle = Content(f"esc closes · {marks}")
            with VerticalScroll(), Horizontal(classes="help-columns"):
                yield Static(self._column(here, whole=True), classes="help-column")
                yield Static(self._column(everywhere, whole=False), classes="help-narrow")

    def _column(self, actions: list[Action], *, whole: bool) -> Content:
        lines: list[Content] = []
        for group, members in groupby(actions, key=lambda action: action.group):
            lines.append(Content.styled(group, "bold $primary"))
            lines += [self._line(action, whole=whole) for action in members]
        if whole:
            lines.append(_plain(*_MOVES))
        return Content("\n").join(lines)

    def _line(self, action: Action, *, whole: bool) -> Content:
        key, text = self.keymap.shown(action), action.help if whole else action.label
        if action.changes and self.read_only:
            return Content.styled(f" {key:<7} {text}", "$muted")
        return _plain(key, text, "bold $warning" if action.dangerous else "$accent")


def _plain(key: str, text: str, style: str = "$accent") -> Content:
    return Content.assemble((f" {key:<7} ", style), text)
