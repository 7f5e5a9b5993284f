"""The filter language of the lists.

Words, all of which must hold: `text` (anywhere), `/regex/`, `!word` (must not hold), `column=value` (that
column begins with the value, or is equal to it when the value ends in `$`). Case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Test = Callable[[str, Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """`text` is what the operator typed; `tests` hold for the rows that stay."""

    text: str = ""
    tests: tuple[Test, ...] = ()

    def keeps(self, haystack: str, columns: Mapping[str, str]) -> bool:
        """Whether a row stays; `haystack` is all its text in lower case, `columns` the words of `name=`."""
        return all(test(haystack, columns) for test in self.tests)


def parse(text: str, columns: frozenset[str] = frozenset()) -> Filter:
    """The filter; raises `ValueError` with a sentence for a broken expression or an unknown column."""
    tests: list[Test] = []
    for token in re.findall(r"!?/(?:[^/\\]|\\.)*/|\S+", text):
        negated, word = token.startswith("!"), token.removeprefix("!")
        if word:
            test = _test(word, columns)
            tests.append(_not(test) if negated else test)
    return Filter(text.strip(), tuple(tests))


def _test(word: str, columns: frozenset[str]) -> Test:
    if len(word) > 1 and word.startswith("/") and word.endswith("/"):
        return _expression(word[1:-1])
    name, equals, value = word.partition("=")
    if equals and name.lower() in columns:
        return _column(name.lower(), value.lower())
    if equals and re.fullmatch(r"[A-Za-z_]+", name) and columns:
        raise ValueError(f"no column {name:.12}; here: {' '.join(sorted(columns))}")
    wanted = word.lower()
    return lambda haystack, _: wanted in haystack


def _expression(pattern: str) -> Test:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"/{pattern}/: {error.msg}.") from None
    return lambda haystack, _: compiled.search(haystack) is not None


def _column(name: str, value: str) -> Test:
    if value.endswith("$"):
        exact = value[:-1]
        return lambda _, columns: columns.get(name, "").lower() == exact
    return lambda _, columns: columns.get(name, "").lower().startswith(value)


def _not(test: Test) -> Test:
    return lambda haystack, columns: not test(haystack, columns)
