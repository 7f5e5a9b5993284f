"""What stands in a box over the views: as guarded as a view; quit from and painted anew like one."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.screen import ModalScreen

from qarax_tui.keys import BY_ID
from qarax_tui.screens.guard import Guarded

Result = TypeVar("Result")
_QUIT, _REDRAW = BY_ID["quit"], BY_ID["redraw"]


class Dialog(Guarded, ModalScreen[Result]):
    """A modal screen does not reach the bindings beneath it, so what is never off is bound here again."""

    BINDINGS: ClassVar = [
        Binding(_QUIT.key, "app.leave", _QUIT.label, show=False, id=_QUIT.id),
        Binding(_REDRAW.key, "app.redraw", _REDRAW.label, show=False, id=_REDRAW.id),
    ]

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Only while on top: Textual closes whatever is there, and two keys may come in one moment."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
