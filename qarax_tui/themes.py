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


def _blocks(
    cursor: str, marked: str, selection: str, *, on_cursor: str, on_deep: str, on_bright: str
) -> dict[str, str]:
    """Coloured blocks; the text `on-deep` stands on primary and error, `on-bright` on warning and accent."""
    return {
        "cursor": cursor,
        "marked": marked,
        "input-selection-background": selection,
        "on-cursor": on_cursor,
        "on-deep": on_deep,
        "on-bright": on_bright,
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
    variables=_statuses("#84bd7f", "#e0b268", "#8b96ab", "#d490c9")
    | _bars("#10141b", "#39465a", "#56657d")
    | _blocks("#2a3a52", "#2b2f24", "#3f5880", on_cursor="#ccd4df", on_deep="#10141b", on_bright="#10141b")
    | {"block-cursor-text-style": "none"},
)

LIGHT: Final = Theme(
    name="qarax-light",
    primary="#1f5fae",
    secondary="#7d8898",
    accent="#0a7166",
    success="#22743c",
    warning="#8f5b00",
    error="#b3261e",
    foreground="#252b33",
    background="#fbfbf8",
    surface="#f3f3ee",
    panel="#e8e9e3",
    dark=False,
    variables=_statuses("#22743c", "#8f5b00", "#5c6675", "#8b3a80")
    | _bars("#fbfbf8", "#c3c8d0", "#7d8898")
    | _blocks("#cfe0f5", "#eeeacb", "#a9c7ea", on_cursor="#252b33", on_deep="#fbfbf8", on_bright="#fbfbf8")
    | {"block-cursor-text-style": "none"},
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
    variables=_statuses("#56b4e9", "#f0e442", "#929cad", "#cc79a7")
    | _bars("#10141b", "#3b4654", "#5d6b7d")
    | _blocks("#23405a", "#35331d", "#2b5f86", on_cursor="#d5dae1", on_deep="#10141b", on_bright="#10141b")
    | {"block-cursor-text-style": "none"},
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
    | _blocks(
        "ansi_blue",
        "ansi_default",
        "ansi_cyan",
        on_cursor="ansi_bright_white",
        on_deep="ansi_bright_white",
        on_bright="ansi_black",
    )
    | {
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_cyan",
        "screen-selection-foreground": "ansi_black",
    },
)

THEMES: Final = (DARK, LIGHT, COLOUR_BLIND, SIXTEEN)
