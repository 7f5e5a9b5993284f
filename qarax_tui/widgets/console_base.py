"""The painting half of `ConsoleView`: a window onto a ring, painted once per batch.

Which lines are shown is decided in `console_window`, what they are in `client.ring`; moving is in
`console_moving`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from textual import work
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from qarax_tui.client.errors import ClientError
from qarax_tui.widgets import console_messages
from qarax_tui.widgets.cells import sentence_line
from qarax_tui.widgets.console_painter import TIME_WIDTH, ConsolePainter, time_words
from qarax_tui.widgets.console_window import ConsoleWindow, Row, Stretch

if TYPE_CHECKING:
    from textual.timer import Timer

    from qarax_tui.client.console import ConsoleFeed
    from qarax_tui.client.matching import Matcher

NEAR = 200
"""So many lines from the oldest (newest) kept line on, more history is asked for."""
BESIDE_SECONDS = 0.25
"""While one looks back, scroll bar and count of lines below move this often: they are not what is read."""


class ConsoleBase(ScrollView):
    """Shows the ring of one feed."""

    Followed: TypeAlias = console_messages.Followed
    Searched: TypeAlias = console_messages.Searched
    empty = reactive("")
    """The sentence shown while there is no line."""

    def __init__(self, **names: str) -> None:
        """`names` are `id` and `classes`."""
        super().__init__(id=names.get("id"), classes=names.get("classes"))
        self.feed: ConsoleFeed | None = None
        self.matcher: Matcher | None = None
        self.window: ConsoleWindow | None = None
        self._painter: ConsolePainter | None = None
        self._rows: list[Row] = []
        self._settled = Size(0, 0)
        self._current: int | None = None
        self._show_times = False
        self._x = 0
        self._told: tuple[bool, int] = (True, 0)
        self._loading = False
        self._beside: Timer | None = None
        self.selection: Stretch | None = None

    # --- for the screens ---------------------------------------------------------------------------------

    def open(self, feed: ConsoleFeed) -> None:
        """Shows this console from now on, and watches its feed until `close`."""
        self.feed = feed
        self.window = ConsoleWindow(feed.ring)
        self._current = None
        self._watch_feed()

    def close(self) -> None:
        """Stops watching; the feed itself is its owner's to stop."""
        self.workers.cancel_node(self)

    @property
    def follow(self) -> bool:
        """Whether new lines push the window along."""
        return self.window is None or self.window.follow

    @follow.setter
    def follow(self, follow: bool) -> None:
        if follow:
            self._to_newest()
        elif self.window is not None:
            self.window.follow = False
            self.update_window()

    @property
    def behind(self) -> int:
        """Lines below the window."""
        return self.window.behind if self.window else 0

    @property
    def wrap(self) -> bool:
        """Whether long lines go on in the next row."""
        return self.window is not None and self.window.wrap

    @wrap.setter
    def wrap(self, wrap: bool) -> None:
        if self.window is not None:
            self.window.wrap, self.window.skip, self._x = wrap, 0, 0
            self.update_window(all_rows=True)

    @property
    def show_times(self) -> bool:
        """Whether each line has its time in front."""
        return self._show_times

    @show_times.setter
    def show_times(self, show: bool) -> None:
        self._show_times = show
        self.update_window(all_rows=True)

    @property
    def _width(self) -> int:
        """Cells beside the scroll bar."""
        return self.scrollable_content_region.width

    # --- keeping up --------------------------------------------------------------------------------------

    @work(exclusive=True, group="console", exit_on_error=False)
    async def _watch_feed(self) -> None:
        feed = self.feed
        if feed is not None:
            async for _ in feed.watch():
                self.feed_changed(feed)

    def feed_changed(self, feed: ConsoleFeed) -> None:
        """Once per batch."""
        del feed
        self.update_window()

    def update_window(self, *, all_rows: bool = False) -> None:
        """Takes over what differs and paints the rows that do."""
        window = self.window
        if window is None or not self.is_mounted or not self.size:
            return
        if window.filter is not None:
            window.filter.update()
        before = self._rows
        self._settle(window)
        if all_rows or len(before) != len(self._rows):
            self.refresh()
        else:
            for y, (was, now) in enumerate(zip(before, self._rows, strict=True)):
                if was != now:
                    self.refresh(Region(0, y, self._width, 1))
        if all_rows or window.follow or before != self._rows:
            self._show_beside()
        elif self._beside is None:
            self._beside = self.set_timer(BESIDE_SECONDS, self._show_beside)
        self._load_when_near(window)

    def _settle(self, window: ConsoleWindow) -> None:
        """The rows for the size that the view has now."""
        self._settled = self.size
        window.width = max(1, self._width - (TIME_WIDTH if self._show_times else 0))
        window.height = self.size.height
        window.settle()
        self._rows = window.rows()

    def _show_beside(self) -> None:
        if self._beside is not None:
            self._beside.stop()
            self._beside = None
        if self.window is not None:
            self._place_scroll_bar(self.window)
            self._tell()

    def _place_scroll_bar(self, window: ConsoleWindow) -> None:
        """In lines; wrapped lines need more rows at the end, so the last place is the window's own."""
        height = window.index + self.size.height + (window.behind if not window.follow else 0)
        size = Size(self._width, height)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)
        self.scroll_to(y=window.index, animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The bar moves; what is painted is the window's, and has been where it differs."""
        del old_value
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = new_value

    def _tell(self) -> None:
        now = (self.follow, 0 if self.follow else self.behind)
        if now != self._told:
            self._told = now
            self.post_message(self.Followed(self, *now))

    # --- history -----------------------------------------------------------------------------------------

    def _load_when_near(self, window: ConsoleWindow) -> None:
        feed = self.feed
        if feed is None or self._loading or window.follow:
            return
        if window.index < NEAR and feed.has_older:
            self._load(older=True)
        elif feed.ring.detached and window.behind < NEAR:
            self._load(older=False)

    @work(exclusive=True, group="console-history", exit_on_error=False)
    async def _load(self, *, older: bool) -> None:
        feed = self.feed
        if feed is None:
            return
        self._loading = True
        try:
            await (feed.load_older() if older else feed.load_newer())
            if self.window is not None and self.window.filter is not None:
                await self.window.filter.scan()
        except ClientError as error:
            self.post_message(self.Searched(self, error.sentence))
        finally:
            self._loading = False

    @work(exclusive=True, group="console-newest", exit_on_error=False)
    async def _to_newest(self) -> None:
        if self.window is not None and self.feed is not None:
            await self.feed.to_live_end()
            self.window.to_end()
            self.update_window()

    # --- painting ----------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self.update_window(all_rows=self.size != self._settled)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter = None

    def render_line(self, y: int) -> Strip:
        """One row of the window; the first paint in a new size comes before the message about it."""
        if self.window is not None and self.size != self._settled:
            self._settle(self.window)
        painter = self._painter = self._painter or ConsolePainter(self)
        width = self._width
        if not self._rows:
            return sentence_line(self.empty, y, width, self.size.height, painter.time)
        if y >= len(self._rows) or self.feed is None:
            return Strip.blank(width, painter.plain)
        row = self._rows[y]
        when = ""
        if self._show_times:
            when = time_words(None if row.part else self.feed.ring.time_of(row.line.number))
        return painter.strip(
            row,
            width,
            x=self._x,
            when=when,
            matcher=self.matcher,
            current=self._current,
            stretch=self.selection,
        )
