"""What a `ConsoleView` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from textual.widget import Widget

    from qarax_tui.client.console_input import InputState


class ConsoleMessage(Message):
    """Anything a console view says."""

    def __init__(self, view: Widget) -> None:
        super().__init__()
        self.view = view

    @property
    def control(self) -> Widget:
        """For `@on(…, "#id")`."""
        return self.view


class Followed(ConsoleMessage):
    """Following began or ended, or the number of lines below the window differs."""

    def __init__(self, view: Widget, follow: bool, behind: int) -> None:
        super().__init__(view)
        self.follow = follow
        self.behind = behind

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Followed) and message.view is self.view


class Searched(ConsoleMessage):
    """A search or a request for history ended without a line to show; `sentence` says why."""

    def __init__(self, view: Widget, sentence: str) -> None:
        super().__init__(view)
        self.sentence = sentence


class Selected(ConsoleMessage):
    """The mouse button was let go over a selection."""

    def __init__(self, view: Widget, text: str) -> None:
        super().__init__(view)
        self.text = text


class InputChanged(ConsoleMessage):
    """Whether keys go to the guest, and who holds the input if somebody else does, is another now."""

    def __init__(self, view: Widget, state: InputState) -> None:
        super().__init__(view)
        self.state = state
