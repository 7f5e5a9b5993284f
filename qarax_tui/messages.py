"""What widgets and views tell the main screen."""

from __future__ import annotations

from textual.message import Message


class ViewChanged(Message):
    """Rows, cursor, marks, filter or sort changed: header line, breadcrumbs and footer are drawn anew.

    A newer one replaces a queued one, so a thousand changes a second cost one redraw a frame.
    """

    def can_replace(self, message: Message) -> bool:
        return type(message) is ViewChanged


class NoteChanged(ViewChanged):
    """Only what the breadcrumb line says about the view is new; drawing everything does that too."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ViewChanged)


class Perform(Message):
    """Do this action, as if its key had been pressed (footer click, palette, `:` command)."""

    def __init__(self, action_id: str, argument: str = "") -> None:
        super().__init__()
        self.action_id = action_id
        self.argument = argument


class Climb(Message):
    """Back to the view that has so many beneath it."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth


class Reveal(Message):
    """Show this object: its view, cursor on its row."""

    def __init__(self, subject_type: str, subject_id: str) -> None:
        super().__init__()
        self.subject_type = subject_type
        self.subject_id = subject_id
