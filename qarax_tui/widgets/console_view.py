"""A live console on the line API.

    view = ConsoleView(id="console")
    view.open(feed)                     # a started client.console.ConsoleFeed; watches it until `close`
    view.follow, view.behind            # following the end (can be set), or how many lines are below
    view.search("oom")                  # then next_match(), previous_match(); "" forgets it
    view.set_filter("error", context=2) # "" takes it away
    view.wrap, view.show_times          # can be set
    view.claim()                        # keys go to the guest until ctrl-] or F12

Patterns are plain text or, with `regex=True`, regular expressions; capital letters make them care for case.
Asking for a pattern is the screen's. Painting and scrolling are in `console_base`, typing in
`console_typing`, searching in `console_finding`.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding

from qarax_tui.widgets.console_finding import ConsoleFinding


class ConsoleView(ConsoleFinding, can_focus=True):
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
