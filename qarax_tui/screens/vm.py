"""One VM: what was asked, what is, what it uses, what happened to it.

The spec comes from the API's own JSON and is kept current by events; counters are asked for every two
seconds, only while this view is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual import work

from qarax_tui.client.errors import ApiError, ClientError
from qarax_tui.client.past import read_past
from qarax_tui.client.records import Vm
from qarax_tui.screens import vm_sections as sections
from qarax_tui.screens.console import ConsolePage
from qarax_tui.screens.page import Page
from qarax_tui.screens.samples import Samples
from qarax_tui.screens.verbs import VmVerbs
from qarax_tui.widgets.card import Card

if TYPE_CHECKING:
    from qarax_tui.client.changes import Changes

_SAMPLE_SECONDS = 2
_NO_PLACEMENT = "no_placement"


class VmView(Page, VmVerbs):
    """State, spec and devices beside load and what happened."""

    view_id = "vm"
    cards = (("state", "spec", "devices"), ("load", "operations", "events", "placement"))

    def __init__(self, vm_id: str) -> None:
        super().__init__()
        self.vm_id = vm_id
        self.name_shown = ""
        self.placement: Mapping[str, Any] = {}
        self.samples = Samples()
        self.last: Vm | None = None

    def on_mount(self) -> None:
        self._sample()
        self.set_interval(_SAMPLE_SECONDS, self._sample)

    def trail(self) -> tuple[str, ...]:
        vm = self.vm
        self.name_shown = vm.name if vm else self.name_shown
        return (self.name_shown or self.vm_id,)

    @property
    def vm(self) -> Vm | None:
        found = self.fleet.vms.get(self.vm_id)
        self.last = found or self.last
        return found

    def vms(self) -> tuple[Vm, ...]:
        vm = self.vm
        return (vm,) if vm else ()

    def focus_inside(self) -> None:
        self.query_one("#vm-scroll").focus()

    def take(self, changes: Changes) -> None:
        if changes.reset("vm") or self.vm_id in changes.changed("vm") | changes.removed("vm"):
            self.draw()

    def gone(self) -> bool:
        return self.vm is None

    async def fetch(self) -> None:
        fleet, api = self.fleet, self.session.api
        body = await fleet.details("vm", self.vm_id)
        self.draw()
        self.past = await read_past(api, self.vm_id, fleet.newest)
        if body.get("host_id"):
            await fleet.details("host", str(body["host_id"]))
        self.placement = await self._placement()

    async def _placement(self) -> Mapping[str, Any]:
        """The decision; an adopted VM has none, and asking again brings none."""
        try:
            return await self.session.api.placement(self.vm_id)
        except ApiError as error:
            if error.code != _NO_PLACEMENT:
                raise
            return {"message": "It was adopted, not placed: there is no decision."}

    @work(exclusive=True, group="vm-sample")
    async def _sample(self) -> None:
        vm = self.vm
        if vm is None or vm.status != "running" or not self.display or self.fleet.connection.state != "live":
            return
        try:
            self.samples.add(self.session.now(), await self.session.api.metrics(self.vm_id))
        except ClientError as error:
            self.samples.problem = error.sentence
        self._draw_load()

    def draw(self) -> None:
        if not self.is_mounted or not self.display:
            return
        vm = self.vm
        body = self.fleet.raw("vm", self.vm_id) or {}
        now = self.session.now()
        host = self.fleet.raw("host", self.last.host_id) if self.last else None
        state = sections.state(vm, body, host, self.fleet, now)
        self._card("#vm-state").show((*state, *self.unread()))
        self._card("#vm-spec").show(sections.spec(self.last, body, self.fleet))
        self._card("#vm-devices").show(sections.devices(body, self.fleet))
        self._card("#vm-operations").show(sections.operations(self.vm_id, self.fleet, self.past, now))
        self._card("#vm-events").show(sections.events(self.vm_id, self.fleet, self.past, now))
        self._card("#vm-placement").show(sections.placement(self.placement))
        self._draw_load()

    def _draw_load(self) -> None:
        self._card("#vm-load").show(sections.load(self.samples, self.vm))

    def do_console(self) -> None:
        if self.vm is not None:
            self.call_later(self.main.push, ConsolePage(self.vm_id))

    def _card(self, selector: str) -> Card:
        return self.query_one(selector, Card)
