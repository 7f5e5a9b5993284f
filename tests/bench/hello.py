"""The least that a Textual program can be: one word, painted. The peer of P9."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static

WORD = "hello-world"


class Hello(App[None]):
    """Says a word."""

    def compose(self) -> ComposeResult:
        yield Static(WORD)


if __name__ == "__main__":
    Hello().run()
