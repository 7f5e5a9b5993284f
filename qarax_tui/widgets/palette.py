"""The styles of a line-drawn widget, looked up once per theme instead of once per cell.

Textual forgets component styles at every refresh; a table that repaints single cells must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.style import Style
    from textual.widget import Widget

TONE_NAMES = ("good", "warn", "bad", "busy", "dim", "strong", "match")


class Palette:
    """Styles of the component classes `<prefix>--…` of a widget."""

    def __init__(self, widget: Widget, prefix: str) -> None:
        self._widget = widget
        self._prefix = prefix
        self._combined: dict[tuple[Style, str], Style] = {}
        self.plain = widget.rich_style
        self.header = self.component("header")
        self.empty = self.component("empty")
        self._cursor = self.component("cursor")
        self._marked = self.component("marked")

    def component(self, name: str) -> Style:
        """The whole style of a component class, background included."""
        return self._widget.get_component_rich_style(f"{self._prefix}--{name}")

    def row(self, *, is_cursor: bool, is_marked: bool) -> Style:
        """The style a row's cells begin with."""
        if is_cursor:
            return self._cursor
        return self._marked if is_marked else self.plain

    def toned(self, base: Style, tone: str) -> Style:
        """A row's style with a tone's colour on it."""
        if not tone:
            return base
        combined = self._combined.get((base, tone))
        if combined is None:
            name = f"{self._prefix}--{tone}"
            partial = self._widget.get_component_rich_style(name, partial=True, default=base)
            combined = self._combined[base, tone] = base + partial
        return combined
