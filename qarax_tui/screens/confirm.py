"""The question before anything that can hurt. It names the object and says what will be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from qarax_tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from textual.app import ComposeResult


_READING_SECONDS = 0.7


@dataclass(frozen=True, slots=True)
class Question:
    """`typed`, when given, must be typed before the button works. `no` is what the other button says.

    One that is `unasked` opens by itself, maybe between two keys: yes is not heard before it can be read.
    """

    title: str
    lines: tuple[str, ...]
    verb: str
    typed: str = ""
    no: str = "Cancel"
    unasked: bool = False


class Confirm(Dialog[bool]):
    """Answers True only when the operator said yes to this very object."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss(False)", "Cancel", show=False),
        Binding("left,right,up,down", "other", "Other button", show=False),
        Binding("y", "yes", "Yes", show=False),
        Binding("n,q", "dismiss(False)", "No", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        question = self.question
        with Vertical(classes="dialog", id="confirm") as box:
            box.border_title = Content(question.title)
            for line in question.lines:
                yield Static(Content(line), classes="dialog-line")
            if question.typed:
                yield Static(self._wanted("Type "), classes="dialog-line muted", id="wanted")
                yield Input(compact=True, id="typed", max_length=len(question.typed))
            with Horizontal(classes="buttons"):
                yield Button(Content(question.no), id="no", compact=True)
                yield Button(
                    Content(question.verb),
                    id="yes",
                    compact=True,
                    variant="error",
                    disabled=bool(question.typed) or question.unasked,
                )

    def on_mount(self) -> None:
        self.query_one("#typed" if self.question.typed else "#no").focus()
        if self.question.unasked:
            self.set_timer(_READING_SECONDS, self._allow)

    def _allow(self) -> None:
        self.query_one("#yes", Button).disabled = False

    @on(Input.Changed, "#typed")
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = event.value != self.question.typed

    @on(Input.Submitted, "#typed")
    def _entered(self, event: Input.Submitted) -> None:
        if event.value == self.question.typed:
            self.dismiss(True)
        else:
            self.query_one("#wanted", Static).update(self._wanted("That is something else: type "))

    def _wanted(self, words: str) -> Content:
        return Content.assemble(words, (self.question.typed, "bold $warning"), " to go on:")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_other(self) -> None:
        self.focus_next(Button)

    def action_yes(self) -> None:
        if not self.question.typed and not self.query_one("#yes", Button).disabled:
            self.dismiss(True)
