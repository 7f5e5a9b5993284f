"""The least that opening something in Textual can be: a key pushes a screen of one word. A floor of P7."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.widgets import Static

READY = "press c"
WORD = "a screen with nothing on it"


class Blank(Screen[None]):
    """Says a word; escape closes it."""

    BINDINGS: ClassVar = [("escape", "dismiss")]

    def compose(self) -> ComposeResult:
        yield Static(WORD)


class Program(App[None]):
    """Waits for the key."""

    BINDINGS: ClassVar = [("c", "open")]

    def compose(self) -> ComposeResult:
        yield Static(READY)

    def action_open(self) -> None:
        self.push_screen(Blank())


if __name__ == "__main__":
    Program().run()
