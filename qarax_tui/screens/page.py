"""The details of one object: what the cache does not keep is asked for when they open, and until it came."""

from __future__ import annotations

from textual import work

from qarax_tui.client.errors import ClientError
from qarax_tui.client.past import Past
from qarax_tui.screens.view import View
from qarax_tui.screens.vm_sections import Lines, unread

AGAIN_SECONDS = 3
WIDE = 110


class Page(View):
    """Closed only by the operator; an object that is gone stays on the screen, and the page says so."""

    def __init__(self) -> None:
        super().__init__()
        self.past = Past()
        self.problem = ""
        self._again_at = 0.0

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
