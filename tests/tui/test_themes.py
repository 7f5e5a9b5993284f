"""What is written can be read: contrast after WCAG 2, level AA, in the themes whose colours are ours."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from qarax_tui.themes import SIXTEEN, STATUSES, THEMES

LEAST = 4.5
OURS = [theme for theme in THEMES if theme is not SIXTEEN]
TEXTS = ("foreground", "muted", "primary", "accent", "success", "warning", "error")
GROUNDS = ("background", "surface", "panel")
BLOCKS = (
    ("on-deep", "primary"),
    ("on-deep", "error"),
    ("on-bright", "warning"),
    ("on-bright", "accent"),
    ("on-cursor", "cursor"),
    ("foreground", "input-selection-background"),
    *((text, "marked") for text in TEXTS if text != "error"),
)


def _luminance(colour: str) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
             for part in Color.parse(colour).normalized]  # fmt: skip
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_every_text_stands_out_from_what_is_behind_it(theme: Theme) -> None:
    colours = theme.to_color_system().generate() | theme.variables
    texts = (*TEXTS, *(f"status-{status}" for status in STATUSES))
    pairs = [*((text, ground) for text in texts for ground in GROUNDS), *BLOCKS]
    faint = {
        pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in pairs
        if _contrast(colours[pair[0]], colours[pair[1]]) < LEAST
    }
    assert not faint
