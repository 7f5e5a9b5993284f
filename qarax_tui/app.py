"""The dashboard: theme, client, first screen, and the end of every unexpected exception.

`run` opens it, `screenshot` draws one view into a file. What the operator sees begins in `screens/main.py`;
what an action is stands in `keys.py`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual._compositor import CompositorUpdate
from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.worker import WorkerFailed

from qarax_tui import keymap, preferences
from qarax_tui.client.api import Api
from qarax_tui.client.errors import ClientError
from qarax_tui.client.first_rows import FirstRows
from qarax_tui.client.fleet import Fleet
from qarax_tui.client.settings import ClientSettings
from qarax_tui.keymap import Keymap
from qarax_tui.preferences import Preferences
from qarax_tui.screens.guard import Guarded
from qarax_tui.screens.later import later
from qarax_tui.screens.main import MainScreen
from qarax_tui.screens.palette import ActionProvider
from qarax_tui.screens.session import Session
from qarax_tui.terminal.painted import Painted
from qarax_tui.themes import DARK, SIXTEEN, THEMES
from qarax_tui.tmux import to_tmux
from qarax_tui.type_ahead import TypeAhead

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.events import Resize
    from textual.screen import Screen

logger = logging.getLogger("qarax")
_SAME_FAILURE_SECONDS = 5
_FEW_COLOURS = {"linux", "vt100", "vt220", "ansi", "xterm-16color", "screen.linux"}


@dataclass(slots=True)
class Options:
    """How a dashboard starts. `now` gives Unix seconds; `remembered` None keeps nothing between starts."""

    settings: ClientSettings = field(default_factory=ClientSettings)
    first: FirstRows | None = None
    read_only: bool = False
    notice: str = ""
    theme: str = ""
    keymap: Keymap = field(default_factory=Keymap)
    remembered: Path | None = None
    now: Callable[[], float] = time.time


class QaraxApp(Guarded, TypeAhead, inherit_bindings=False):
    """One operator's window on one control plane."""

    TITLE = "qarax"
    CSS_PATH: ClassVar = ["styles/qarax.tcss", "styles/dialogs.tcss"]
    COMMANDS: ClassVar = {ActionProvider}
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar = [
        Binding("ctrl+q", "leave", "Quit", show=False),
        Binding("ctrl+c", "help_quit", "How to quit", show=False),
        Binding("ctrl+p", "command_palette", "Palette", show=False),
    ]
    """None has priority: what is typed into a guest stays with the guest."""

    def __init__(self, options: Options) -> None:
        self.api = Api(options.settings.server, options.settings.token)
        super().__init__()
        self.options = options
        self.api.read_only = options.read_only
        self.fleet = Fleet(self.api)
        self._painted = Painted()
        self.failures: list[Exception] = []
        self._failed_at: dict[str, float] = {}
        self.preferences = Preferences(seen=True)
        if options.remembered is not None:
            self.preferences = preferences.load(options.remembered)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._first_theme()

    def _first_theme(self) -> str:
        wanted = self.options.theme or self.preferences.theme
        names = {theme.name for theme in THEMES}
        for name in (wanted, f"qarax-{wanted}"):
            if name in names:
                return name
        return SIXTEEN.name if os.environ.get("TERM", "") in _FEW_COLOURS else DARK.name

    async def on_load(self) -> None:
        """Long before there is a screen: the server answers while it is made, unless it has already."""
        rows = {} if self.options.first is None else self.options.first.rows()
        self.fleet.foresee(rows)
        if not rows:
            await self.fleet.start()

    async def on_mount(self) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.leave)
        self.set_keymap(self.options.keymap.keys)
        session = Session(self.api, self.fleet, self.options.keymap, self.options.now)
        await self.push_screen(MainScreen(session))
        for sentence in (*self.options.keymap.problems, self.options.notice):
            if sentence:
                self.notify(sentence, timeout=10, markup=False)
        self.call_after_refresh(self.fleet.start)
        _collect_garbage_again()
        if not self.preferences.seen:
            self.preferences.seen = True
            self._remember()
            await self.push_screen(later("welcome:Welcome")(self.options.keymap))

    async def on_unmount(self) -> None:
        await self.fleet.stop()
        await self.api.close()

    def leave(self) -> None:
        """End the dashboard; what runs goes on."""
        self.exit(0)

    def action_leave(self) -> None:
        self.leave()

    def pop_screen(self) -> AwaitComplete:
        """Close the dialog on top; the main screen stays, however fast the keys come."""
        return AwaitComplete() if isinstance(self.screen, MainScreen) else super().pop_screen()

    def copy_to_clipboard(self, text: str) -> None:
        """OSC 52 to the terminal; inside tmux to its buffer and, by it, to the terminal outside."""
        super().copy_to_clipboard(text)
        if os.environ.get("TMUX"):
            self.run_worker(to_tmux(text), group="clipboard", exit_on_error=False)

    def on_resize(self, event: Resize) -> None:
        """What the terminal kept is not known; back at the size it had, Textual would not paint anew."""
        self._painted.forget()
        if event.size == self.size:
            self.refresh(layout=True)

    # --- themes, help, redraw ----------------------------------------------------------------------------

    def next_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        place = names.index(self.theme) if self.theme in names else -1
        self.choose_theme(names[(place + 1) % len(names)])

    def choose_theme(self, name: str) -> None:
        self.theme = name
        self.preferences.theme = name
        self._remember()
        self.notify(f"Theme {name.removeprefix('qarax-')}", timeout=2, markup=False)

    def _remember(self) -> None:
        if self.options.remembered is not None:
            preferences.save(self.options.remembered, self.preferences)

    def action_redraw(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Paint every cell anew, for terminals that something else wrote to."""
        self._painted.forget()
        self.refresh(layout=True)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Where Textual writes a frame: what the terminal shows already is left out."""
        if isinstance(renderable, CompositorUpdate):
            renderable = self._painted.differing(renderable)
        super()._display(screen, renderable)

    # --- what nobody expected ----------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """Where Textual sends exceptions of timers, workers and rendering: reported, never the end."""
        if self.is_running and self._driver is not None and self._screen_stacks.get("_default"):
            self.report_failure(error)
        else:
            super()._handle_exception(error)

    def report_failure(self, error: Exception) -> None:
        """One toast and one log entry per failure; the same one again within seconds is only counted."""
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            error = error.error
        if isinstance(error, ClientError):
            self.notify(f"{error.sentence} {error.fix}".strip(), severity="error", markup=False)
            return
        self.failures.append(error)
        words = f"{type(error).__name__}: {error}"
        at = time.monotonic()
        if at - self._failed_at.get(words, -_SAME_FAILURE_SECONDS) < _SAME_FAILURE_SECONDS:
            return
        self._failed_at[words] = at
        logger.error("The dashboard failed at something", exc_info=error)
        sentence = f"The dashboard failed at something and goes on: {words:.200}. The log has the rest."
        self.notify(sentence, severity="error", timeout=10, markup=False)

    @property
    def main(self) -> MainScreen | None:
        """The main screen, also while a dialog is on top."""
        return next((screen for screen in self.screen_stack if isinstance(screen, MainScreen)), None)


def run(
    settings: ClientSettings,
    first: FirstRows | None,
    *,
    notice: str | None = None,
    read_only: bool = False,
    theme: str = "",
) -> int:
    """Open the dashboard on a control plane; returns the exit code. `notice` is shown as the first toast."""
    complaint = _terminal_complaint()
    if complaint:
        print(complaint, file=sys.stderr)  # noqa: T201 - there is no screen to show it on
        return 1
    folder = preferences.state_folder()
    _log_to(folder / "logs" / "dashboard.log")
    options = Options(
        settings=settings,
        first=first,
        read_only=read_only,
        notice=notice or "",
        theme=theme,
        keymap=keymap.load(keymap.key_file()),
        remembered=folder / "dashboard.json",
    )
    app = QaraxApp(options)
    app.run()
    return app.return_code or 0


def _collect_garbage_again() -> None:
    """The command turned it off to start fast; what was loaded until now stays for good."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _terminal_complaint() -> str:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "qarax needs a terminal. For scripts: qarax --once vms -o json."
    if os.environ.get("TERM", "") in {"", "dumb"}:
        return "This terminal cannot place a cursor (TERM=dumb). For scripts: qarax --once vms -o table."
    return ""


def _log_to(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


def screenshot(
    settings: ClientSettings,
    path: str,
    size: tuple[int, int] = (120, 36),
    view: str = "vms",
    theme: str = "",
) -> int:
    """Draw one view of a live control plane into an SVG file; returns the exit code."""
    from qarax_tui.picture import draw  # noqa: PLC0415 - only this command needs it

    app = QaraxApp(Options(settings=settings, theme=theme))
    return draw(app, Path(path), size, view)
