"""The one place every string from the server passes before it can reach a screen.

Three doors: `safe` for a single name or message, `safe_json` for an answer, and `console_text.clean` for what
a guest wrote to its serial port. What leaves them holds no control character, no escape sequence, no
bidirectional override and no lone surrogate; what was taken away stays visible wherever an operator could be
misled.
"""

from __future__ import annotations

import json
import re
from typing import Any

_INVISIBLE = (
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Formats, fillers, overrides: they print nothing, or change how their neighbours print."""

UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
_UNSAFE_BUT_NEWLINE = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
_SUSPICIOUS_JSON = re.compile(f"\\\\[ubfnrt]|[\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")

REPLACEMENT = "\ufffd"
MAX_TEXT = 4096


def visible(found: re.Match[str]) -> str:
    """C0 and DEL as their control picture, everything else as the replacement character."""
    code = ord(found[0])
    if code < 0x20:  # noqa: PLR2004 - the C0 set
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else REPLACEMENT  # noqa: PLR2004 - DEL


def safe(text: object, *, newlines: bool = False, limit: int = MAX_TEXT) -> str:
    """A string that can be printed anywhere: one line unless `newlines`, at most `limit` characters."""
    plain = text if isinstance(text, str) else str(text)
    if len(plain) > limit:
        plain = plain[: limit - 1] + "…"
    return (_UNSAFE_BUT_NEWLINE if newlines else UNSAFE).sub(visible, plain)


def safe_json(data: bytes | str) -> Any:
    """Parses an answer and makes every string and key in it safe; raises ValueError when it is not JSON.

    An answer without escapes and unusual characters cannot hold an unsafe string, so it is not walked.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    plain = text.isascii() and "\\" not in text and "\x7f" not in text
    try:
        value = json.loads(text)
        return value if plain or not _SUSPICIOUS_JSON.search(text) else _walk(value)
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return safe(value, newlines=True)
    if isinstance(value, list):
        return [_walk(item) for item in value]
    if isinstance(value, dict):
        return {safe(key): _walk(item) for key, item in value.items()}
    return value
