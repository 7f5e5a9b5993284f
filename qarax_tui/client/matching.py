"""What an operator looks for in a console: text or a regular expression, with smart case.

A pattern without capital letters finds both cases, as in `less -i`.
"""

from __future__ import annotations

import re

from .console_text import without_sequences
from .errors import ClientError


class PatternError(ClientError):
    """The regular expression is none."""


class Matcher:
    """Finds lines in a block of lines, and the places in one line."""

    def __init__(self, pattern: str, *, regex: bool = False) -> None:
        self.pattern = pattern
        self._any_case = pattern == pattern.lower()
        self._plain = "" if regex else pattern
        expression = pattern if regex else re.escape(pattern)
        try:
            self._regex = re.compile(expression)
            # what could match in a line but not in a text of lines is looked for line by line only
            by_line_only = any(sign in expression for sign in (r"\A", r"\Z", "(?"))
            self._whole = None if by_line_only else re.compile(expression, re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"{pattern} is no regular expression: {error}.") from error

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Start and end of each match."""
        return [
            found.span() for found in self._regex.finditer(self._folded(line)) if found.end() > found.start()
        ]

    def matches(self, line: str) -> bool:
        """Whether the line has a match."""
        return self._regex.search(self._folded(line)) is not None

    def rules_out(self, data: bytes) -> bool:
        """Whether no line of these raw bytes can match; quick, and False when in doubt."""
        if not self._plain.isascii() or not self._plain:
            return False
        plain = without_sequences(data)
        if plain is None:
            return False
        return self._plain.encode() not in (plain.lower() if self._any_case else plain)

    def matching(self, text: str) -> list[int]:
        """The places of the lines that match, in a text of several lines."""
        folded = self._folded(text)
        if self._plain:
            return _lines_with(self._plain, folded)
        if self._whole is not None and self._whole.search(folded) is None:
            return []
        return [place for place, line in enumerate(folded.split("\n")) if self._regex.search(line)]

    def _folded(self, text: str) -> str:
        return text.lower() if self._any_case else text


def _lines_with(plain: str, text: str) -> list[int]:
    places = []
    line = counted = 0
    at = text.find(plain)
    while at >= 0:
        line += text.count("\n", counted, at)
        places.append(line)
        counted = text.find("\n", at)
        at = text.find(plain, counted) if counted >= 0 else -1
    return places
