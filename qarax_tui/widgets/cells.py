"""What a table prints: a cell's text and tone, cut or padded to its column without ever parsing it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.strip import Strip

from qarax_tui.client.sanitise import safe

if TYPE_CHECKING:
    from rich.style import Style


class Cell(NamedTuple):
    """The text as it is, and the tone it is printed in: good warn bad busy dim strong match, "" is plain."""

    text: str
    tone: str = ""


def as_cell(value: Cell | str) -> Cell:
    """A cell whose text is one safe line."""
    text, tone = (value, "") if isinstance(value, str) else value
    return Cell(safe(text), tone)


def fit(text: str, width: int, align: str = "left") -> str:
    """The text in exactly `width` terminal cells; what does not fit ends in an ellipsis."""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return f"{set_cell_size(text, width - 1)}…" if width > 0 else ""
    padding = " " * (width - length)
    return padding + text if align == "right" else text + padding


def sentence_line(sentence: str, line: int, width: int, height: int, style: Style) -> Strip:
    """Line number `line` of a widget that shows nothing but a sentence, wrapped, in its upper third."""
    room = max(1, width - 2)
    lines = [part for text in sentence.split("\n") for part in wrap(text, room) or [""]]
    first = max(0, (height - len(lines)) // 3)
    text = lines[line - first] if first <= line < first + len(lines) else ""
    padding = " " * max(0, (width - len(text)) // 2)
    return Strip([Segment(fit(padding + text, width), style)], width)
