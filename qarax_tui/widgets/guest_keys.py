"""What a key sends to a guest's serial port: xterm's codes, which every Linux console program knows."""

from __future__ import annotations

_KEYS = {
    "enter": b"\r",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "backspace": b"\x7f",
    "escape": b"\x1b",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "insert": b"\x1b[2~",
    "delete": b"\x1b[3~",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "ctrl+@": b"\x00",
    "ctrl+backslash": b"\x1c",
    "ctrl+circumflex_accent": b"\x1e",
    "ctrl+underscore": b"\x1f",
    **{f"f{n}": b"\x1bO" + b"PQRS"[n - 1 : n] for n in range(1, 5)},
}
LEAVE = frozenset({"ctrl+right_square_bracket", "f12"})
"""Keys that stay here and end the input."""


def key_bytes(key: str, character: str | None) -> bytes:
    """The bytes of a key press; empty for a key that means nothing to a serial console."""
    if key in _KEYS:
        return _KEYS[key]
    name = key.removeprefix("ctrl+")
    if name != key and len(name) == 1 and name.isascii() and name.isalpha():
        return bytes([ord(name.lower()) - ord("a") + 1])
    return character.encode() if character and character.isprintable() else b""


def pasted_bytes(text: str) -> bytes:
    """Pasted text as if it had been typed."""
    return text.replace("\r\n", "\r").replace("\n", "\r").encode("utf-8", "replace")
