"""A titled block of labelled lines. What does not fit goes on below its own text, not below the label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from textual.content import Content
from textual.widgets import Static

_LABEL_WIDTH = 12
_LEAST_ROOM = 12


class Line(NamedTuple):
    """A head and the text beside it."""

    head: Content
    text: Content

    def wrapped(self, width: int) -> list[Content]:
        """The line in at most `width` cells; without room for that, as it is."""
        indent = self.head.cell_length
        if width - indent < _LEAST_ROOM or indent + self.text.cell_length <= width:
            return [Content.assemble(self.head, self.text)]
        first, *rest = self.text.wrap(width - indent)
        return [Content.assemble(self.head, first), *(part.pad_left(indent) for part in rest)]


def plain(text: str | Content, style: str = "") -> Line:
    """A line without a head."""
    return Line(Content(""), _styled(text, style))


def labelled(label: str, value: str | Content, style: str = "") -> Line:
    """A value with its label in front."""
    return Line(Content.styled(f"{label:<{_LABEL_WIDTH}}", "$muted"), _styled(value, style))


def titled(title: str, lines: Iterable[Line]) -> tuple[Line, ...]:
    """A title over its lines; nothing when there is no line."""
    body = tuple(lines)
    return (plain(title, "bold $primary"), *body) if body else ()


def _styled(text: str | Content, style: str) -> Content:
    return text if isinstance(text, Content) else Content.styled(text, style)


class Card(Static):
    """Shows lines; gone from the screen while there are none."""

    _lines: Sequence[Line] = ()
    _drawn: tuple[object, ...] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Put these lines in place of the others."""
        self._lines = lines
        self.display = bool(lines)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.size.width or 1_000
        content = Content("\n").join([part for line in self._lines for part in line.wrapped(width)])
        seen = (content.plain, tuple(content.spans))  # two texts are equal to Textual whatever their styles
        if seen != self._drawn:
            self._drawn = seen
            self.update(content)
