"""The serial console of one VM: `widgets.console_view`, a line that says how it stands, its prompts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.content import Content

from qarax_tui.client.console import ConsoleFeed
from qarax_tui.client.console_file import save_log
from qarax_tui.client.errors import ClientError
from qarax_tui.client.matching import PatternError
from qarax_tui.client.records import Vm
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.format import count
from qarax_tui.screens.later import later
from qarax_tui.screens.prompt import Asking
from qarax_tui.screens.verbs import VmVerbs
from qarax_tui.screens.vm_words import doing
from qarax_tui.widgets.console_messages import InputChanged, Searched, Selected
from qarax_tui.widgets.console_view import ConsoleView
from qarax_tui.widgets.status import status_text

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from qarax_tui.client.changes import Changes
    from qarax_tui.client.console_input import InputState
    from qarax_tui.screens.main import MainScreen
    from qarax_tui.screens.session import Session

_CONTEXT_LINES = 2
_BETWEEN_SECONDS = 0.004
_SAID_SECONDS = 6


class ConsolePage(VmVerbs):
    """Owns the feed: opened with the view, stopped with it."""

    view_id = "console"
    patience = 0.08
    """So many seconds at most the view beneath stays while the first lines come."""

    def __init__(self, vm_id: str) -> None:
        super().__init__()
        self.vm_id = vm_id
        self.name_shown = ""
        self.said, self.said_until = "", 0.0
        self.told_state = ""
        self.console = ConsoleView(id="console")
        self.feed: ConsoleFeed | None = None

    async def begin(self, session: Session) -> None:
        self.feed = ConsoleFeed(session.api, self.vm_id)
        await self.feed.start()

    async def ready(self) -> None:
        """Until the last lines are there: some came, and no more follow them."""
        feed, seen = self.feed, -1
        until = time.monotonic() + self.patience
        while feed is not None and feed.state not in {"away", "gone"} and time.monotonic() < until:
            if feed.ring.size == seen > 0:
                break
            seen = feed.ring.size
            await asyncio.sleep(_BETWEEN_SECONDS)

    def compose(self) -> ComposeResult:
        yield self.console

    def on_mount(self) -> None:
        self.watch(self.console, "input_mode", self.announce, init=False)
        if self.feed is not None:
            self.console.open(self.feed)

    async def on_unmount(self) -> None:
        self.console.close()
        if self.feed is not None:
            await self.feed.stop()

    @property
    def vm(self) -> Vm | None:
        return self.fleet.vms.get(self.vm_id)

    def vms(self) -> tuple[Vm, ...]:
        return (self.vm,) if self.vm else ()

    def cannot(self, action_id: str) -> str:
        gone = action_id == "attach" and self.vm is None
        return "Input: the VM is gone." if gone else super().cannot(action_id)

    def trail(self) -> tuple[str, ...]:
        self.name_shown = self.vm.name if self.vm else self.name_shown
        below = self.main.stack[-2].view_id if len(self.main.stack) > 1 else ""
        return ("Console",) if below == "vm" else (self.name_shown or self.vm_id, "Console")

    def note(self) -> Content:
        vm, feed = self.vm, self.feed
        if vm is None:
            return Content.styled("the VM is gone", "$warning")
        running = vm.operation is not None and vm.operation.running
        parts: list[tuple[str, str]] = []
        if self.console.filter_pattern:
            parts.append((f"only “{self.console.filter_pattern}”  ", "$accent"))
        if self.said:
            parts.append((f"{self.said}  ", "$accent"))
        if feed is not None and feed.input.attached:
            parts.append((" INPUT ", "bold $on-bright on $warning"))
        elif not self.console.follow:
            behind = self.console.behind
            parts.append((f"{count(behind, 'line')} below  " if behind else "not following  ", "$warning"))
        if feed is not None and feed.state != "live":
            parts.append((f" {feed.sentence or feed.state}  ", "$warning"))
        words = f" {doing(vm.operation, self.session.now())}" if running and vm.operation else ""
        parts.append((f" {words or status_text(vm.status)}", "$accent" if words else "$muted"))
        return Content.assemble(*parts)

    def hint(self) -> str:
        if self.feed is None or not self.console.input_mode:
            return ""
        back = "ctrl+] or F12 leaves."
        now = self.feed.input
        if now.attached and self.vm is not None:
            return f"Every key goes to the guest. {back}"
        if now.asked:
            return f"Asking for the input: what you type waits for it. {back}"
        return f"{self._lost(now)}: typing goes nowhere. {back}"

    def _lost(self, now: InputState) -> str:
        """Why there is no input, as a clause."""
        if self.vm is None:
            return "The VM is gone"
        if self.feed is None or self.feed.state != "live":
            return "The console is not connected"
        return now.refused or (f"{now.holder} took the input over" if now.holder else "The input was lost")

    def empty_text(self) -> str:
        """What to say, and to do, while no line is shown."""
        keymap, vm, feed = self.session.keymap, self.vm, self.feed
        if self.console.filter_pattern:
            back = keymap.shown_id("back")
            return f"No line matches “{self.console.filter_pattern}”.\n{back} shows all lines."
        if feed is None or feed.state != "live":
            return feed.sentence if feed is not None and feed.sentence else "Connecting…"
        if vm is None or vm.status in {"running", "paused"}:
            return "The guest has written nothing yet."
        return f"Nothing was written yet: it is {vm.status}.\n{keymap.shown_id('start')} starts it."

    def announce(self) -> None:
        self.console.empty = self.empty_text()
        super().announce()

    def announce_note(self) -> None:
        self.console.empty = self.empty_text()
        super().announce_note()

    def focus_inside(self) -> None:
        self.console.focus()

    def take(self, changes: Changes) -> None:
        if changes.reset("vm") or self.vm_id in changes.changed("vm") | changes.removed("vm"):
            self.announce()

    def tick(self) -> None:
        if self.said and self.session.now() > self.said_until:
            self.said = ""
        state = self.feed.state if self.feed is not None else ""
        if state != self.told_state:  # the footer says it too
            self.told_state = state
            self.announce()
        else:
            self.announce_note()

    @on(ConsoleView.Followed)
    def _followed(self) -> None:
        self.announce_note()

    @on(ConsoleView.Searched)
    def _searched(self, event: Searched) -> None:
        self.said, self.said_until = event.sentence, self.session.now() + _SAID_SECONDS
        self.announce()

    @on(ConsoleView.Selected)
    def _selected(self, event: Selected) -> None:
        later("copying:put")(self.main, "selection", event.text)

    # --- actions -----------------------------------------------------------------------------------------

    def do_follow(self) -> None:
        self.console.follow = True

    def do_wrap(self) -> None:
        self.console.wrap = not self.console.wrap

    def do_timestamps(self) -> None:
        self.console.show_times = not self.console.show_times

    def do_next_match(self) -> None:
        self.said = ""
        self.console.next_match()
        self.announce_note()

    def do_previous_match(self) -> None:
        self.said = ""
        self.console.previous_match()
        self.announce_note()

    def do_search(self) -> None:
        shown = self.session.keymap.shown_id
        hint = f"text or /regex/; {shown('next_match')} next, {shown('previous_match')} previous"
        self._prompt("search ", hint, self._search, "")

    def _search(self, text: str) -> None:
        self.said = ""
        self._try_pattern(text, self.console.search, backwards=self.console.follow)

    def _try_pattern(self, text: str, use: Callable[..., None], **options: Any) -> None:
        pattern, regex = _pattern(text)
        try:
            use(pattern, regex=regex, **options)
        except PatternError as error:
            self.main.toast(str(error), severity="warning")
        self.announce()

    def do_only_matching(self) -> None:
        self._prompt("only lines with ", "text or /regex/; empty shows all again", self._only, "")

    def _only(self, text: str) -> None:
        self._try_pattern(text, self.console.set_filter, context=_CONTEXT_LINES)

    def do_save(self) -> None:
        suggestion = str(Path.cwd() / f"{self.name_shown or self.vm_id}.console.log")
        self._prompt("save to ", "the whole log, byte for byte", self._save, suggestion)

    def _save(self, text: str) -> None:
        """In the background, and not given up when the console is left."""
        if text.strip() and self.feed is not None:
            path = Path(text.strip()).expanduser()
            self.main.run_worker(_write(self.main, self.feed, path), group="save")

    def do_attach(self) -> None:
        """Asks, whoever held the input when it was last told: giving it back is told to nobody else."""
        self.console.claim()

    @on(ConsoleView.InputChanged)
    def _input_changed(self, event: InputChanged) -> None:
        self.announce()
        if event.state.refused and event.state.holder:
            self._ask_takeover(event.state.holder)

    def _ask_takeover(self, holder: str) -> None:
        lines = (f"{holder} types into this console now and will be cut off.",)
        question = Question(f"Take over the input of {self.name_shown}?", lines, "Take over", unasked=True)
        self.confirm(question, lambda: self.console.claim(takeover=True))

    def _prompt(self, label: str, hint: str, entered: Callable[[str], None], value: str) -> None:
        def done(text: str) -> None:
            self.main.back_to_view()
            entered(text)

        self.main.ask(Asking(label, value, lambda _: "", done, self.main.back_to_view, hint))

    def step_back(self) -> bool:
        """Take the selection away, else show all lines again; False when there was neither."""
        if self.console.clear_selection():
            return True
        if not self.console.filter_pattern:
            return False
        self.console.set_filter("")
        self.announce()
        return True


async def _write(main: MainScreen, feed: ConsoleFeed, path: Path) -> None:
    try:
        saved = await save_log(feed, path)
    except ClientError as error:
        main.toast(f"{error.sentence} {error.fix}".strip(), severity="error")
    else:
        kept = "" if saved.whole else ": what was read so far, not the whole log"
        main.toast(
            f"{saved.written:,} bytes in {path}{kept}", severity="information" if saved.whole else "warning"
        )


def _pattern(text: str) -> tuple[str, bool]:
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):  # noqa: PLR2004 - two slashes and more
        return text[1:-1], True
    return text, False
