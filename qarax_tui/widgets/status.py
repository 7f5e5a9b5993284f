"""A status as glyph and word: the glyph never stands alone and the colour never carries the meaning alone.

`status_cell(status)` gives a `Cell` for the table; `status_text(status)` the words for prose; `TONES` maps
each status of every noun to one of the tones good, warn, bad, busy, dim.
"""

from __future__ import annotations

from qarax_tui.widgets.cells import Cell

__all__ = ["TONES", "Cell", "status_cell", "status_text"]

_GLYPHS = {"good": "●", "warn": "◐", "bad": "✖", "busy": "◌", "dim": "○", "": "·"}

TONES = {
    "running": "good",
    "up": "good",
    "active": "good",
    "completed": "good",
    "succeeded": "good",
    "paused": "warn",
    "initializing": "busy",
    "installing": "busy",
    "pending": "busy",
    "unknown": "warn",
    "installation_failed": "bad",
    "error": "bad",
    "failed": "bad",
    "cancelled": "dim",
    "created": "dim",
    "shutdown": "dim",
    "down": "dim",
    "inactive": "dim",
}


def status_text(status: str) -> str:
    """`● running`; an unknown word keeps its word."""
    glyph = "?" if status == "unknown" else _GLYPHS[TONES.get(status, "")]
    return f"{glyph} {status.replace('_', ' ')}"


def status_cell(status: str) -> Cell:
    """The same as a table cell in its tone."""
    return Cell(status_text(status), TONES.get(status, ""))
