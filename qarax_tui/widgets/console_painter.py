"""Rows of a console as strips: the text as it is, matches lit, markers and times in their own colours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip

if TYPE_CHECKING:
    from rich.style import Style
    from textual.widget import Widget

    from qarax_tui.client.matching import Matcher
    from qarax_tui.widgets.console_window import Row, Stretch

TIME_WIDTH = 9


def time_words(moment: float | None) -> str:
    """`14:03:59 `, or as many spaces."""
    return time.strftime("%H:%M:%S ", time.localtime(moment)) if moment else " " * TIME_WIDTH


class ConsolePainter:
    """The styles of a theme, looked up once."""

    def __init__(self, widget: Widget) -> None:
        def style(name: str) -> Style:
            return widget.get_component_rich_style(f"console-view--{name}", partial=True)

        self.plain = widget.rich_style
        self.match = self.plain + style("match")
        self.current = self.plain + style("current-match")
        self.marker = self.plain + style("marker")
        self.gap = self.plain + style("gap")
        self.time = self.plain + style("time")
        self.selected = self.plain + style("selected")

    def strip(
        self,
        row: Row,
        width: int,
        *,
        x: int,
        when: str,
        matcher: Matcher | None,
        current: int | None,
        stretch: Stretch | None,
    ) -> Strip:
        """One row in `width` cells, from cell `x` of its text on, after `when`."""
        kind = row.line.kind
        if kind:
            base = self.gap if kind in ("gap", "lost") else self.marker
            segments = [Segment(row.shown, base)]
        else:
            lit = self.current if row.line.number == current else self.match
            segments = self._lit(row.text, matcher, lit) if matcher else [Segment(row.text, self.plain)]
        if stretch is not None:
            segments = self._over(segments, *stretch.within(row.line.number, row.at + len(row.shown)), row.at)
        room = max(0, width - len(when))
        body = Strip(segments).crop_extend(0 if kind else x, (0 if kind else x) + room, self.plain)
        return Strip.join([Strip([Segment(when, self.time)], len(when)), body]) if when else body

    def _lit(self, text: str, matcher: Matcher, lit: Style) -> list[Segment]:
        segments, at = [], 0
        for start, end in matcher.spans(text):
            segments += [Segment(text[at:start], self.plain), Segment(text[start:end], lit)]
            at = end
        return [segment for segment in (*segments, Segment(text[at:], self.plain)) if segment.text]

    def _over(self, segments: list[Segment], start: int, end: int, at: int) -> list[Segment]:
        """The selected characters in their own style; `at` is the first character's place in its line."""
        found: list[Segment] = []
        for text, style, _ in segments:
            before, behind = (max(0, min(len(text), place - at)) for place in (start, end))
            found += [Segment(text[:before], style), Segment(text[before:behind], self.selected)]
            found.append(Segment(text[max(before, behind) :], style))
            at += len(text)
        return [segment for segment in found if segment.text]
