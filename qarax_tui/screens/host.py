"""One host: how it is, how full, what it runs VMs with, which VMs those are, what happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import work

from qarax_tui.client.errors import ClientError
from qarax_tui.client.past import read_past
from qarax_tui.client.records import Host, Noun
from qarax_tui.screens import host_sections as sections
from qarax_tui.screens.deployment import deployment, newest
from qarax_tui.screens.host_verbs import HostVerbs
from qarax_tui.screens.page import Page
from qarax_tui.screens.vm_sections import Lines, events, operations
from qarax_tui.widgets.card import Card

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes


class HostView(Page, HostVerbs):
    """State, room and hypervisors beside its deployment, its VMs and what happened."""

    view_id = "host"
    cards = (("state", "room", "drivers"), ("deployment", "vms", "operations", "events"))

    def __init__(self, host_id: str) -> None:
        super().__init__()
        self.host_id = host_id
        self.last: Host | None = None
        self.deployment = ""

    def hosts(self) -> list[Host]:
        found = self.fleet.hosts.get(self.host_id)
        self.last = found or self.last
        return [found] if found else []

    def subject(self) -> tuple[Noun, Any] | None:
        hosts = self.hosts()
        return ("host", hosts[0]) if hosts else None

    def trail(self) -> tuple[str, ...]:
        self.hosts()
        return (self.last.name if self.last else self.host_id,)

    def focus_inside(self) -> None:
        self.query_one("#host-scroll").focus()

    def take(self, changes: Changes) -> None:
        mine = changes.reset("host") or self.host_id in changes.changed("host") | changes.removed("host")
        if mine or self.deployment in changes.changed("operation"):
            self.draw()

    def gone(self) -> bool:
        return not self.hosts()

    async def fetch(self) -> None:
        await self.fleet.details("host", self.host_id)
        self.draw()
        self.past = await read_past(self.session.api, self.host_id, self.fleet.newest)

    def draw(self) -> None:
        if not self.is_mounted or not self.display:
            return
        hosts, now = self.hosts(), self.session.now()
        body = self.fleet.raw("host", self.host_id) or {}
        state = sections.state(hosts[0] if hosts else None, body, now)
        self._card("#host-state").show((*state, *self.unread()))
        self._card("#host-room").show(sections.room(self.last))
        self._card("#host-drivers").show(sections.drivers(body))
        self._card("#host-deployment").show(self._deployment())
        self._card("#host-vms").show(
            sections.vms(self.host_id, self.fleet, self.session.keymap.shown_id("open_host"))
        )
        self._card("#host-operations").show(operations(self.host_id, self.fleet, self.past, now))
        self._card("#host-events").show(events(self.host_id, self.fleet, self.past, now))

    def _deployment(self) -> Lines:
        """The newest deployment; its steps and log are fetched once, then events keep them current."""
        found = newest(self.host_id, self.fleet)
        if found is None:
            return ()
        if found != self.deployment:
            self.deployment = found
            self._fetch_deployment(found)
        return deployment(self.fleet.raw("operation", found) or {})

    @work(exclusive=True, group="deployment-fetch")
    async def _fetch_deployment(self, operation_id: str) -> None:
        try:
            await self.fleet.details("operation", operation_id)
        except ClientError as error:
            self.main.toast(error.sentence, severity="warning")
        self.draw()

    def _card(self, selector: str) -> Card:
        return self.query_one(selector, Card)
