"""The colours: dark, light, colour-blind (after Okabe and Ito, 2008) and the terminal's own 16.

Status is never told by colour alone: a glyph and a word stand beside it. `$muted` and `$status-*` are ours.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

STATUSES: Final = ("running", "paused", "created", "shutdown", "unknown")


def _statuses(running: str, paused: str, quiet: str, unknown: str) -> dict[str, str]:
    return {
        "status-running": running,
        "status-paused": paused,
        "status-created": quiet,
        "status-shutdown": quiet,
        "status-unknown": unknown,
        "muted": quiet,
    }


def _bars(trough: str, thumb: str, held: str) -> dict[str, str]:
    """Scroll bars that are part of the background, with a thumb that can be seen."""
    troughs = ("", "-hover", "-active")
    return {
        **{f"scrollbar-background{state}": trough for state in troughs},
        "scrollbar-corner-color": trough,
        "scrollbar": thumb,
        "scrollbar-hover": held,
        "scrollbar-active": held,
    }


DARK: Final = Theme(
    name="qarax-dark",
    primary="#7aa2d6",
    secondary="#56657d",
    accent="#6fc2b4",
    success="#84bd7f",
    warning="#e0b268",
    error="#e5737a",
    foreground="#ccd4df",
    background="#10141b",
    surface="#151a23",
    panel="#1d2430",
    variables=_statuses("#84bd7f", "#e0b268", "#78849a", "#d490c9")
    | _bars("#10141b", "#39465a", "#56657d")
    | {"cursor": "#2a3a52", "marked": "#2b2f24", "block-cursor-text-style": "none"},
)

LIGHT: Final = Theme(
    name="qarax-light",
    primary="#1f5fae",
    secondary="#7d8898",
    accent="#0b7a6d",
    success="#22743c",
    warning="#8f5b00",
    error="#b3261e",
    foreground="#252b33",
    background="#fbfbf8",
    surface="#f3f3ee",
    panel="#e8e9e3",
    dark=False,
    variables=_statuses("#22743c", "#8f5b00", "#667080", "#8b3a80")
    | _bars("#fbfbf8", "#c3c8d0", "#7d8898")
    | {"cursor": "#cfe0f5", "marked": "#eeeacb", "block-cursor-text-style": "none"},
)

COLOUR_BLIND: Final = Theme(
    name="qarax-colour-blind",
    primary="#56b4e9",
    secondary="#5d6b7d",
    accent="#56b4e9",
    success="#56b4e9",
    warning="#f0e442",
    error="#e8772e",
    foreground="#d5dae1",
    background="#10141b",
    surface="#151a23",
    panel="#1d2430",
    variables=_statuses("#56b4e9", "#f0e442", "#8791a3", "#cc79a7")
    | _bars("#10141b", "#3b4654", "#5d6b7d")
    | {"cursor": "#23405a", "marked": "#35331d", "block-cursor-text-style": "none"},
)

SIXTEEN: Final = Theme(
    name="qarax-16",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables=_statuses("ansi_green", "ansi_yellow", "ansi_bright_black", "ansi_magenta")
    | _bars("ansi_default", "ansi_bright_black", "ansi_blue")
    | {
        "cursor": "ansi_blue",
        "marked": "ansi_default",
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_bright_blue",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_bright_blue",
        "screen-selection-foreground": "ansi_black",
    },
)

THEMES: Final = (DARK, LIGHT, COLOUR_BLIND, SIXTEEN)
