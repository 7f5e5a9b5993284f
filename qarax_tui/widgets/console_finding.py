"""Searching and filtering a console, as far back as its ring has room: what is loaded first, then history.

Each piece of history is looked at as it comes; another search, another filter or leaving ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from qarax_tui.client.console import HISTORY_BYTES
from qarax_tui.client.console_search import ConsoleFilter, find_next
from qarax_tui.client.errors import ClientError
from qarax_tui.client.matching import Matcher
from qarax_tui.widgets.console_typing import ConsoleTyping

if TYPE_CHECKING:
    from qarax_tui.client.console import ConsoleFeed
    from qarax_tui.widgets.console_window import ConsoleWindow


class ConsoleFinding(ConsoleTyping):
    """`search` goes to one match after the other, `set_filter` hides all other lines."""

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
            self.post_message(self.Searched(self, "Nothing was searched for yet."))
            return
        outside = self._current is None or all(row.line.number != self._current for row in self._rows)
        start = self.window.top - 1 if outside else self._current
        self._go_to_match(start or 0, backwards)

    @work(exclusive=True, group="console-search", exit_on_error=False)
    async def _go_to_match(self, start: int, backwards: bool) -> None:
        matcher, window, feed = self.matcher, self.window, self.feed
        if matcher is None or window is None or feed is None:
            return
        try:
            found = await self._find(feed, window, matcher, start, backwards=backwards)
        except ClientError as error:
            self.post_message(self.Searched(self, error.sentence))
            return
        if found is None:
            sentence = await self._nothing(feed, window, matcher, start, backwards=backwards)
            self.post_message(self.Searched(self, sentence))
            return
        self._current = found
        window.show(found)
        self.update_window(all_rows=True)

    async def _find(
        self, feed: ConsoleFeed, window: ConsoleWindow, matcher: Matcher, start: int, *, backwards: bool
    ) -> int | None:
        """The nearest match that is shown, history included."""
        found = await _shown(window, matcher, start, backwards=backwards)
        while found is None and _more(feed, backwards=backwards):
            edge = window.ring.first if backwards else window.ring.end - 1
            await (feed.load_older() if backwards else feed.load_newer())
            if window.filter is not None:
                await window.filter.scan()
                window.filter.update()
            found = await _shown(window, matcher, edge, backwards=backwards)
        return found

    async def _nothing(
        self, feed: ConsoleFeed, window: ConsoleWindow, matcher: Matcher, start: int, *, backwards: bool
    ) -> str:
        """What to say when there is none: how far was looked, and whether the other way has one."""
        if feed.has_older if backwards else feed.ring.detached:
            looked = f"the {feed.ring.size / 2**20:.0f} MiB around here"
            return f"No more “{matcher.pattern}” in {looked}; the log goes on."
        where, other = ("above", "below") if backwards else ("below", "above")
        elsewhere = await _shown(window, matcher, start, backwards=not backwards)
        more = "" if elsewhere is None else f", but {other}"
        return f"No more “{matcher.pattern}” {where}{more}."

    def set_filter(self, pattern: str, *, context: int = 0, regex: bool = False) -> None:
        """Shows only matching lines and so many around each; PatternError as above."""
        if self.window is None:
            return
        self.workers.cancel_group(self, "console-filter")
        if not pattern:
            self.window.filter = None
            self.update_window(all_rows=True)
            return
        matcher = Matcher(pattern, regex=regex)
        self._apply_filter(ConsoleFilter(self.window.ring, matcher, context))

    @work(exclusive=True, group="console-filter", exit_on_error=False)
    async def _apply_filter(self, chosen: ConsoleFilter) -> None:
        await chosen.scan()
        if self.window is None or self.feed is None:
            return
        self.window.filter = chosen
        self.update_window(all_rows=True)
        try:
            while _more(self.feed, backwards=True):
                await self.feed.load_older()
                await chosen.scan()
                self.update_window()
        except ClientError as error:
            self.post_message(self.Searched(self, error.sentence))

    @property
    def filter_pattern(self) -> str:
        """The pattern of the filter in force, or ""."""
        chosen = self.window.filter if self.window else None
        return chosen.matcher.pattern if chosen else ""


async def _shown(window: ConsoleWindow, matcher: Matcher, start: int, *, backwards: bool) -> int | None:
    """The nearest match in what is loaded that the filter lets through."""
    found = await find_next(window.ring, matcher, start, backwards=backwards)
    while found is not None and not window.shows(found):
        found = await find_next(window.ring, matcher, found, backwards=backwards)
    return found


def _more(feed: ConsoleFeed, *, backwards: bool) -> bool:
    """Whether the log goes on this way and the ring has room for another piece of it."""
    room = feed.ring.size + HISTORY_BYTES <= feed.ring.limit
    return room and (feed.has_older if backwards else feed.ring.detached)
