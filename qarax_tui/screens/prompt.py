"""The one input line above the footer: filter, `:` command, search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from qarax_tui.screens.guard import Guarded

if TYPE_CHECKING:
    from textual.app import ComposeResult


_ROOM = 24
"""Whoever has typed more than this needs the line more than its hint."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a prompt is for. `typed` hears every change and may answer with a complaint; `entered` ends it."""

    label: str
    value: str
    typed: Callable[[str], str]
    entered: Callable[[str], None]
    left: Callable[[], None]
    hint: str = ""
    completions: tuple[str, ...] = ()
    complaint: str = ""
    """What was wrong with `value`; stands in for the hint until something is typed."""


class Prompt(Guarded, Horizontal):
    """Hidden until `ask`; takes the focus and gives it back to the view."""

    BINDINGS: ClassVar = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("tab", "complete", "Complete", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self.asking: Asking | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield Static("", id="prompt-label")
        yield Input(compact=True, id="prompt-input", select_on_focus=False)
        yield Static("", id="prompt-hint")

    def ask(self, asking: Asking) -> None:
        self.asking = None
        self.query_one("#prompt-label", Static).update(Content(asking.label))
        field = self.query_one(Input)
        field.suggester = (
            SuggestFromList(asking.completions, case_sensitive=False) if asking.completions else None
        )
        field.value = asking.value
        field.cursor_position = len(asking.value)
        self._hint(asking.complaint or asking.hint, bad=bool(asking.complaint))
        self.asking = asking
        self.display = True
        field.focus()

    def close(self) -> None:
        self.asking = None
        self.display = False

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.asking is not None:
            complaint = self.asking.typed(event.value)
            hint = self.asking.hint if len(event.value) <= _ROOM else ""
            self._hint(complaint or hint, bad=bool(complaint))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        asking = self.asking
        self.close()
        if asking is not None:
            asking.entered(event.value)

    def action_leave(self) -> None:
        asking = self.asking
        self.close()
        if asking is not None:
            asking.left()

    def action_complete(self) -> None:
        self.query_one(Input).action_cursor_right()

    def _hint(self, text: str, *, bad: bool = False) -> None:
        self.query_one("#prompt-hint", Static).update(Content.styled(text, "$error" if bad else "$muted"))
