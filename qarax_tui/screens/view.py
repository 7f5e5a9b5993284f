"""What every view is: a name, its keys from the action table, a place in the breadcrumbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from qarax_tui.client.records import Noun, Vm
from qarax_tui.keys import ACTIONS
from qarax_tui.messages import NoteChanged, ViewChanged
from qarax_tui.screens.confirm import Confirm, Question
from qarax_tui.screens.guard import Guarded

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes
    from qarax_tui.client.fleet import Fleet
    from qarax_tui.screens.main import MainScreen
    from qarax_tui.screens.session import Session


def bindings(view: str) -> list[BindingType]:
    """The bindings of a view from the action table; "*" for the main screen."""
    return [
        Binding(action.key, f"do('{action.id}')", action.label, show=False, id=action.id)
        for action in ACTIONS
        if view in action.views
    ]


class View(Guarded, Vertical):
    """Base of the views. Subclasses set `view_id` and the methods `do_<action id>` of their keys."""

    view_id: ClassVar[str] = ""
    behind = False
    DEFAULT_CSS = "View { height: 1fr; }"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "view_id" in cls.__dict__:
            cls.BINDINGS = [*cls.__dict__.get("BINDINGS", []), *bindings(cls.view_id)]
        super().__init_subclass__(**kwargs)

    @property
    def main(self) -> MainScreen:
        return cast("MainScreen", self.screen)

    @property
    def session(self) -> Session:
        return self.main.session

    @property
    def fleet(self) -> Fleet:
        return self.session.fleet

    async def begin(self, session: Session) -> None:
        """It will be opened: ask for what it shows first."""

    async def ready(self) -> None:
        """It is there but not painted: wait a moment for what it shows first, instead of painting twice."""

    def trail(self) -> tuple[str, ...]:
        """This view's breadcrumbs."""
        raise NotImplementedError

    def note(self) -> Content:
        """The right end of the breadcrumb line: counts, filter, sort."""
        return Content("")

    def hint(self) -> str:
        """What the footer says in place of the keys, while the view takes all of them."""
        return ""

    def take(self, changes: Changes) -> None:
        """The fleet changed."""

    def catch_up(self) -> None:
        """The view comes back to the screen, and the fleet changed meanwhile."""

    def tick(self) -> None:
        """A second passed, and the view is on the screen."""

    def focus_inside(self) -> None:
        """Put the focus where this view's keys work."""

    def vms(self) -> Sequence[Vm]:
        """The VMs that an action would take now."""
        return ()

    def confirm(self, question: Question, then: Callable[[], object]) -> None:
        """Ask first; go on when the operator said yes."""

        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self.app.push_screen(Confirm(question), answered)

    def subject(self) -> tuple[Noun, Any] | None:
        """The noun and the record that the view is looking at, or None when there is none."""
        vms = self.vms()
        return ("vm", vms[0]) if vms else None

    def cannot(self, action_id: str) -> str:
        """Why an action makes no sense for what it would take, as a sentence; empty when it does."""
        del action_id
        return ""

    def step_back(self) -> bool:
        """What esc undoes inside the view before it leaves it; False when there is nothing."""
        return False

    def announce(self) -> None:
        """Ask for the lines around the view to be drawn anew."""
        self.post_message(ViewChanged())

    def announce_note(self) -> None:
        """Ask for the breadcrumb line alone; for what changes many times a second."""
        self.post_message(NoteChanged())

    def action_do(self, action_id: str) -> None:
        self.main.perform(action_id)
