"""A live console on the line API.

    view = ConsoleView(id="console")
    view.open(feed)                     # a started client.console.ConsoleFeed; watches it until `close`
    view.follow, view.behind            # following the end (can be set), or how many lines are below
    view.search("oom")                  # then next_match(), previous_match(); "" forgets it
    view.set_filter("error", context=2) # "" takes it away
    view.wrap, view.show_times          # can be set
    view.save(path)                     # what is kept, byte for byte
    view.claim()                        # keys go to the guest until ctrl-] or F12

Patterns are plain text or, with `regex=True`, regular expressions; capital letters make them care for case.
Asking for a pattern or a file name is the screen's. Painting and scrolling are in `console_base`, typing in
`console_typing`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import Binding

from qarax_tui.client.console_search import ConsoleFilter, find_next
from qarax_tui.client.errors import ClientError
from qarax_tui.client.matching import Matcher
from qarax_tui.widgets.console_typing import ConsoleTyping

if TYPE_CHECKING:
    from pathlib import Path


class ConsoleView(ConsoleTyping, can_focus=True):
    """One console: followed, looked back through, searched, typed into."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "console-view--match",
        "console-view--current-match",
        "console-view--marker",
        "console-view--gap",
        "console-view--time",
        "console-view--selected",
    }
    DEFAULT_CSS = """
    ConsoleView {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        & > .console-view--match { background: $warning; color: $background; }
        & > .console-view--current-match { background: $accent; color: $background; text-style: bold; }
        & > .console-view--marker { color: $text-accent; text-style: bold; }
        & > .console-view--gap { color: $text-error; text-style: bold; }
        & > .console-view--time { color: $text-muted; }
        & > .console-view--selected { background: $screen-selection-background; color: $foreground; }
    }
    """
    BINDINGS: ClassVar = [
        Binding("up,k", "rows(-1)", "Up", show=False),
        Binding("down,j", "rows(1)", "Down", show=False),
        Binding("pageup", "pages(-1)", "Page up", show=False),
        Binding("pagedown,space", "pages(1)", "Page down", show=False),
        Binding("home,g", "oldest", "Oldest kept", show=False),
        Binding("end,G", "newest", "Newest, follow", show=False),
        Binding("left", "sideways(-1)", "Left", show=False),
        Binding("right", "sideways(1)", "Right", show=False),
    ]

    # --- finding -----------------------------------------------------------------------------------------

    def search(self, pattern: str, *, regex: bool = False, backwards: bool = False) -> None:
        """Lights every match and goes to the nearest; PatternError when the expression is none."""
        self.matcher = Matcher(pattern, regex=regex) if pattern else None
        self._current = None
        self.refresh()
        if self.matcher is not None and self.window is not None:
            self._go_to_match(self.window.top + (self.size.height if backwards else -1), backwards)

    def next_match(self) -> None:
        """To the nearest match below."""
        self._search_again(backwards=False)

    def previous_match(self) -> None:
        """To the nearest match above."""
        self._search_again(backwards=True)

    def _search_again(self, *, backwards: bool) -> None:
        if self.matcher is None or self.window is None:
            self.post_message(self.Searched(self, "Nothing was searched for yet; / asks for a pattern."))
            return
        outside = self._current is None or all(row.line.number != self._current for row in self._rows)
        start = self.window.top - 1 if outside else self._current
        self._go_to_match(start or 0, backwards)

    @work(exclusive=True, group="console-search", exit_on_error=False)
    async def _go_to_match(self, start: int, backwards: bool) -> None:
        matcher, window = self.matcher, self.window
        if matcher is None or window is None:
            return
        found = await find_next(window.ring, matcher, start, backwards=backwards)
        while found is not None and not window.shows(found):
            found = await find_next(window.ring, matcher, found, backwards=backwards)
        if found is None:
            where = "above" if backwards else "below"
            self.post_message(self.Searched(self, f"No more “{matcher.pattern}” {where} in what is loaded."))
            return
        self._current = found
        window.show(found)
        self.update_window(all_rows=True)

    def set_filter(self, pattern: str, *, context: int = 0, regex: bool = False) -> None:
        """Shows only matching lines and so many around each; PatternError as above."""
        if self.window is None:
            return
        if not pattern:
            self.window.filter = None
            self.update_window(all_rows=True)
            return
        matcher = Matcher(pattern, regex=regex)
        self._apply_filter(ConsoleFilter(self.window.ring, matcher, context))

    @work(exclusive=True, group="console-filter", exit_on_error=False)
    async def _apply_filter(self, chosen: ConsoleFilter) -> None:
        await chosen.scan()
        if self.window is not None:
            self.window.filter = chosen
            self.update_window(all_rows=True)

    @property
    def filter_pattern(self) -> str:
        """The pattern of the filter in force, or ""."""
        chosen = self.window.filter if self.window else None
        return chosen.matcher.pattern if chosen else ""

    # --- saving ------------------------------------------------------------------------------------------

    def save(self, path: Path) -> int:
        """Writes what is kept into a new file of the operator's own; returns bytes, raises ClientError."""
        if self.feed is None:
            return 0
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                return sum(file.write(data) for data in self.feed.raw())
        except OSError as error:
            sentence = f"{path} was not written: {error.strerror or error}."
            raise ClientError(sentence, "Choose another name or folder.") from error
