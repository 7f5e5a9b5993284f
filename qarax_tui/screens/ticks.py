"""A field of a form where any number of choices can be ticked; told apart without colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class Ticks(OptionList):
    """`choices` are (what is shown, value) pairs; `value` are the ticked values in that order."""

    BINDINGS: ClassVar = [Binding("space", "select", "Tick", show=False)]

    class Changed(Message):
        """A choice was ticked or the tick taken back."""

        def __init__(self, ticks: Ticks) -> None:
            super().__init__()
            self.ticks = ticks

        @property
        def control(self) -> Ticks:
            return self.ticks

    def __init__(self, choices: Sequence[tuple[str, str]], ticked: Iterable[str]) -> None:
        self.choices, self.ticked = choices, set(ticked)
        super().__init__(*(Option(self._shown(*choice)) for choice in choices), compact=True)

    @property
    def value(self) -> list[str]:
        return [value for _, value in self.choices if value in self.ticked]

    def _shown(self, words: str, value: str) -> Content:
        return Content(f"{'[x]' if value in self.ticked else '[ ]'} {words}")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        choice = self.choices[event.option_index]
        self.ticked ^= {choice[1]}
        self.replace_option_prompt_at_index(event.option_index, self._shown(*choice))
        self.post_message(self.Changed(self))
