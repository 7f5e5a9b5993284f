"""What stands in a box over the views: as guarded as a view, and quit from like one."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.screen import ModalScreen

from qarax_tui.keys import BY_ID
from qarax_tui.screens.guard import Guarded

Result = TypeVar("Result")
_QUIT = BY_ID["quit"]


class Dialog(Guarded, ModalScreen[Result]):
    """A modal screen does not reach the bindings beneath it, so quitting is bound here again."""

    BINDINGS: ClassVar = [Binding(_QUIT.key, "app.leave", _QUIT.label, show=False, id=_QUIT.id)]

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Only while on top: Textual closes whatever is there, and two keys may come in one moment."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
