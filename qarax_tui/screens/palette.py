"""The palette: every action that works here, and every VM by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

if TYPE_CHECKING:
    from qarax_tui.screens.main import MainScreen


class ActionProvider(Provider):
    """Fed by the action table and the fleet."""

    def _main(self) -> MainScreen | None:
        from qarax_tui.screens.main import MainScreen  # noqa: PLC0415 - the main screen's app names this class

        return self.screen if isinstance(self.screen, MainScreen) else None

    def _entries(self, main: MainScreen) -> Iterator[tuple[str, str, Callable[[], None]]]:
        keymap = main.session.keymap
        for action in main.available():
            key = keymap.shown(action)
            yield action.label, f"{action.help}  [{key}]", partial(main.perform, action.id)

    async def discover(self) -> Hits:
        main = self._main()
        if main is not None:
            for label, text, perform in self._entries(main):
                yield DiscoveryHit(Content(label), perform, help=Content(text))  # type: ignore[arg-type]

    async def search(self, query: str) -> Hits:
        main = self._main()
        if main is None:
            return
        matcher = self.matcher(query)
        for label, text, perform in self._entries(main):
            score = max(matcher.match(label), 0.8 * matcher.match(text))
            if score > 0:
                yield Hit(score, Content(label), perform, text=label, help=Content(text))  # type: ignore[arg-type]
        for vm in list(main.session.fleet.vms.values()):
            if query.lower() in vm.name.lower():
                yield Hit(
                    0.5, Content(vm.name), partial(main.go_to, "vm", vm.id), text=vm.name, help="its details"
                )
