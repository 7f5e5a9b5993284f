"""One host: how it is, how full, what it runs VMs with, which VMs those are, what happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qarax_tui.client.errors import ClientError
from qarax_tui.client.records import Host
from qarax_tui.screens import host_sections as sections
from qarax_tui.screens.chrome import same
from qarax_tui.screens.host_verbs import HostVerbs
from qarax_tui.screens.vm_sections import history

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from qarax_tui.client.changes import Changes

_WIDE = 110


class HostView(HostVerbs):
    """A host that is gone stays on the screen and says so."""

    view_id = "host"

    def __init__(self, host_id: str) -> None:
        super().__init__()
        self.host_id = host_id
        self.last: Host | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="host-scroll", classes="page"), Horizontal(classes="page-columns"):
            with Vertical(classes="page-column"):
                yield Static(id="host-state", classes="card")
                yield Static(id="host-room", classes="card")
                yield Static(id="host-drivers", classes="card")
            with Vertical(classes="page-column"):
                yield Static(id="host-vms", classes="card")
                yield Static(id="host-history", classes="card")

    def on_mount(self) -> None:
        self.draw()
        self._fetch()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= _WIDE, "wide")

    def hosts(self) -> list[Host]:
        found = self.fleet.hosts.get(self.host_id)
        self.last = found or self.last
        return [found] if found else []

    def trail(self) -> tuple[str, ...]:
        self.hosts()
        return (self.last.name if self.last else self.host_id,)

    def focus_inside(self) -> None:
        self.query_one("#host-scroll").focus()

    def take(self, changes: Changes) -> None:
        if changes.touches("vm", "host", "operation"):
            self.draw()

    def tick(self) -> None:
        self.draw()

    @work(exclusive=True, group="host-fetch")
    async def _fetch(self) -> None:
        try:
            await self.fleet.details("host", self.host_id)
        except ClientError as error:
            self.main.toast(error.sentence, severity="warning")
        self.draw()

    def draw(self) -> None:
        if not self.is_mounted or not self.display:
            return
        hosts, now = self.hosts(), self.session.now()
        body = self.fleet.raw("host", self.host_id) or {}
        self._put("#host-state", sections.state(hosts[0] if hosts else None, body, now))
        self._put("#host-room", sections.room(self.last))
        self._put("#host-drivers", sections.drivers(body))
        self._put("#host-vms", sections.vms(self.host_id, self.fleet))
        self._put("#host-history", history(self.host_id, self.fleet, now))

    def _put(self, selector: str, content: Content) -> None:
        card = self.query_one(selector, Static)
        card.display = bool(content.plain)
        if not same(content, card.content):
            card.update(content)
