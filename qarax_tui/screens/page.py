"""The details of one object: what the cache does not keep is asked for when they open, and until it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.containers import Horizontal, Vertical, VerticalScroll

from qarax_tui.client.errors import ClientError
from qarax_tui.client.past import Past
from qarax_tui.screens.view import View
from qarax_tui.screens.vm_sections import Lines, unread
from qarax_tui.widgets.card import Card

if TYPE_CHECKING:
    from textual.app import ComposeResult

AGAIN_SECONDS = 3
WIDE = 110


class Page(View):
    """Closed only by the operator; an object that is gone stays on the screen, and the page says so."""

    cards: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """What stands in the left column and what in the right one; below each other where it is narrow."""

    def __init__(self) -> None:
        super().__init__()
        self.past = Past()
        self.problem = ""
        self._again_at = 0.0

    def compose(self) -> ComposeResult:
        with VerticalScroll(id=f"{self.view_id}-scroll", classes="page"), Horizontal(classes="page-columns"):
            for column in self.cards:
                with Vertical(classes="page-column"):
                    for name in column:
                        yield Card(id=f"{self.view_id}-{name}", classes="card")

    def on_mount(self) -> None:
        self.draw()
        self.ask()

    async def fetch(self) -> None:
        """Ask for what the page shows beside the cache; raises ClientError."""
        raise NotImplementedError

    def gone(self) -> bool:
        """Whether there is nothing left to ask about."""
        raise NotImplementedError

    def draw(self) -> None:
        """Show what is known now."""
        raise NotImplementedError

    @work(exclusive=True, group="page")
    async def ask(self) -> None:
        try:
            await self.fetch()
        except ClientError as error:
            self.problem = error.sentence
            self._again_at = self.session.now() + AGAIN_SECONDS
        else:
            self.problem = ""
        self.draw()

    def unread(self) -> Lines:
        """Why what is shown may be less than there is."""
        return () if self.gone() else unread(self.problem)

    def catch_up(self) -> None:
        self.draw()

    def tick(self) -> None:
        live = self.fleet.connection.state == "live"
        if self.problem and live and not self.gone() and self.session.now() >= self._again_at:
            self._again_at = self.session.now() + AGAIN_SECONDS
            self.ask()
        self.draw()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "wide")
