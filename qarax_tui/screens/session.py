"""What all views share: the control plane they talk to, the cache, the keys in force, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from qarax_tui.client.api import Api
from qarax_tui.client.fleet import Fleet
from qarax_tui.keymap import Keymap


class Dashboard(Protocol):
    """What the screens ask of the app."""

    def leave(self) -> None: ...
    def next_theme(self) -> None: ...
    def choose_theme(self, name: str) -> None: ...
    def redraw(self) -> None: ...
    def report_failure(self, error: Exception) -> None: ...


@dataclass(slots=True)
class Session:
    """One dashboard's world. `now` gives Unix seconds; tests give it a clock that stands still."""

    api: Api
    fleet: Fleet
    keymap: Keymap = field(default_factory=Keymap)
    now: Callable[[], float] = time.time
    notice: str = ""
    first_run: bool = False
