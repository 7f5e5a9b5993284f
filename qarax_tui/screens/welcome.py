"""The first screen of the first start: what this is and the six keys that matter."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from qarax_tui.keymap import Keymap
from qarax_tui.keys import BY_ID
from qarax_tui.screens.dialog import Dialog

_FIRST = (
    ("create", "create a VM; a small Linux to boot is offered first"),
    ("start", "start the VM under the cursor, {stop} stops it"),
    ("console", "its console, live"),
    ("filter", "narrow the list; {mark} marks rows for bulk actions"),
    ("command", "type a command, tab completes"),
    ("help", "all keys of the place you are in"),
)


class Welcome(Dialog[None]):
    """Shown once; any key goes on."""

    BINDINGS: ClassVar = [Binding("escape,enter,q,space", "dismiss", "Go on", show=False)]

    def __init__(self, keymap: Keymap) -> None:
        super().__init__()
        self.keymap = keymap

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog welcome") as box:
            box.border_title = Content("Welcome to qarax")
            yield Static("Virtual machines on a fleet of hosts, live. Every key is shown at the bottom.\n")
            for action_id, text in _FIRST:
                key = self.keymap.shown(BY_ID[action_id])
                yield Static(Content.assemble((f" {key:>3}  ", "bold $accent"), self.keymap.fill(text)))
            yield Static("\nWhat can hurt asks first. Quitting leaves the VMs running.")
            yield Static(Content.styled("enter goes on", "$muted"), classes="welcome-end")
