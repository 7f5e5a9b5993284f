"""A JSON reader that fails where and how serde_json does: the same message, line and column.

Values are read straight into the shapes of `shapes.py`; nothing is parsed twice. Columns count bytes.
"""

from __future__ import annotations

DEPTH = 127
WHITESPACE = b" \n\t\r"
DIGITS = b"0123456789"
ESCAPES = {
    0x22: '"', 0x5C: "\\", 0x2F: "/", 0x62: "\b", 0x66: "\f", 0x6E: "\n", 0x72: "\r", 0x74: "\t",
}  # fmt: skip


class SerdeError(Exception):
    """A message that already ends in `at line L column C`."""


class Unplaced(Exception):  # noqa: N818  a message on its way to get a place
    """A message that has no place yet: `Reader.place` gives it the reader's."""


class Reader:
    """One JSON text and how far it has been read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.index = 0
        self.depth = 0

    def error(self, message: str) -> SerdeError:
        """At the last byte that was taken."""
        return self._at(message, self.index)

    def peek_error(self, message: str) -> SerdeError:
        """At the byte that would be taken next."""
        return self._at(message, min(len(self.data), self.index + 1))

    def _at(self, message: str, index: int) -> SerdeError:
        line_start = self.data.rfind(b"\n", 0, index) + 1
        line = 1 + self.data.count(b"\n", 0, line_start)
        return SerdeError(f"{message} at line {line} column {index - line_start}")

    def peek(self) -> int | None:
        """The next byte that is no whitespace, not taken; None at the end."""
        data, index = self.data, self.index
        while index < len(data) and data[index] in WHITESPACE:
            index += 1
        self.index = index
        return data[index] if index < len(data) else None

    def take_word(self, word: bytes) -> None:
        """Take `null`, `true` or `false`, whose first byte was seen."""
        for expected in word:
            if self.index >= len(self.data):
                raise self.error("EOF while parsing a value")
            self.index += 1
            if self.data[self.index - 1] != expected:
                raise self.error("expected ident")

    def end(self) -> None:
        """Nothing but whitespace may follow."""
        if self.peek() is not None:
            raise self.peek_error("trailing characters")

    # -- strings -----------------------------------------------------------------------------------------

    def take_string(self) -> str:
        """A string whose opening quote is next."""
        self.index += 1
        parts: list[str] = []
        start = self.index
        while True:
            if self.index >= len(self.data):
                raise self.error("EOF while parsing a string")
            byte = self.data[self.index]
            if byte == 0x22:
                parts.append(self._text(start))
                self.index += 1
                return "".join(parts)
            if byte == 0x5C:
                parts.append(self._text(start))
                self.index += 1
                parts.append(self._escape())
                start = self.index
                continue
            self.index += 1
            if byte < 0x20:
                raise self.error("control character (\\u0000-\\u001F) found while parsing a string")

    def _text(self, start: int) -> str:
        try:
            return self.data[start : self.index].decode()
        except UnicodeDecodeError:
            raise self.error("invalid unicode code point") from None

    def _escape(self) -> str:
        if self.index >= len(self.data):
            raise self.error("EOF while parsing a string")
        byte = self.data[self.index]
        self.index += 1
        if byte in ESCAPES:
            return ESCAPES[byte]
        if byte != 0x75:
            raise self.error("invalid escape")
        first = self._hex()
        if 0xDC00 <= first <= 0xDFFF:
            raise self.error("lone leading surrogate in hex escape")
        if not 0xD800 <= first <= 0xDBFF:
            return chr(first)
        if self.data[self.index : self.index + 2] != b"\\u":
            self.index = min(len(self.data), self.index + 1)
            raise self.error("unexpected end of hex escape")
        self.index += 2
        second = self._hex()
        if not 0xDC00 <= second <= 0xDFFF:
            raise self.error("lone leading surrogate in hex escape")
        return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))

    def _hex(self) -> int:
        digits = self.data[self.index : self.index + 4]
        if len(digits) < 4:
            self.index = len(self.data)
            raise self.error("EOF while parsing a string")
        self.index += 4
        try:
            return int(digits, 16)
        except ValueError:
            raise self.error("invalid escape") from None

    # -- numbers -----------------------------------------------------------------------------------------

    def take_number(self) -> int | float:
        """A number whose first byte (`-` or a digit) is next; integers beyond 64 bits become floats."""
        start = self.index
        if self.data[self.index] == 0x2D:
            self.index += 1
        self._digits(leading=True)
        floating = False
        if self._next_is(b"."):
            self.index += 1
            self._digits(leading=False)
            floating = True
        if self._next_is(b"eE"):
            self.index += 1
            if self._next_is(b"+-"):
                self.index += 1
            self._digits(leading=False)
            floating = True
        text = self.data[start : self.index]
        if floating or not -(2**63) <= int(text) < 2**64:
            return float(text)
        return int(text)

    def _next_is(self, choices: bytes) -> bool:
        return self.index < len(self.data) and self.data[self.index] in choices

    def _digits(self, *, leading: bool) -> None:
        if self.index >= len(self.data):
            raise self.error("EOF while parsing a value")
        first = self.data[self.index]
        self.index += 1
        if first not in DIGITS:
            raise self.error("invalid number")
        if leading and first == 0x30:
            if self._next_is(DIGITS):
                raise self.peek_error("invalid number")
            return
        while self._next_is(DIGITS):
            self.index += 1

    # -- containers --------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Take `{` or `[`, at most 127 deep."""
        self.depth += 1
        if self.depth > DEPTH:
            raise self.peek_error("recursion limit exceeded")
        self.index += 1

    def next_key(self, *, first: bool) -> bool:
        """Move to the next key of an object; False before its `}`."""
        byte = self.peek()
        if byte is None:
            raise self.peek_error("EOF while parsing an object")
        if byte == 0x7D:
            return False
        if not first:
            if byte != 0x2C:
                raise self.peek_error("expected `,` or `}`")
            self.index += 1
            byte = self.peek()
            if byte == 0x7D:
                raise self.peek_error("trailing comma")
            if byte is None:
                raise self.peek_error("EOF while parsing a value")
        if byte != 0x22:
            raise self.peek_error("key must be a string")
        return True

    def colon(self) -> None:
        byte = self.peek()
        if byte is None:
            raise self.peek_error("EOF while parsing an object")
        if byte != 0x3A:
            raise self.peek_error("expected `:`")
        self.index += 1

    def next_element(self, *, first: bool) -> bool:
        """Move to the next element of an array; False before its `]`."""
        byte = self.peek()
        if byte is None:
            raise self.peek_error("EOF while parsing a list")
        if byte == 0x5D:
            return False
        if not first:
            if byte != 0x2C:
                raise self.peek_error("expected `,` or `]`")
            self.index += 1
            byte = self.peek()
            if byte == 0x5D:
                raise self.peek_error("trailing comma")
            if byte is None:
                raise self.peek_error("EOF while parsing a value")
        return True

    def leave(self) -> None:
        """Take the closing bracket that was seen."""
        self.depth -= 1
        self.index += 1

    def close_quietly(self, bracket: int) -> None:
        """Take the closing bracket if it is next, as serde_json does before it places an error."""
        if self.peek() == bracket:
            self.index += 1

    def skip(self) -> None:
        """Read past any value, keeping nothing."""
        byte = self.peek()
        if byte is None:
            raise self.peek_error("EOF while parsing a value")
        if byte == 0x22:
            self.take_string()
        elif byte == 0x7B:
            self._skip_object()
        elif byte == 0x5B:
            self.enter()
            first = True
            while self.next_element(first=first):
                self.skip()
                first = False
            self.leave()
        elif not self.skip_scalar(byte):
            raise self.peek_error("expected value")

    def skip_scalar(self, byte: int) -> bool:
        """Read past null, a boolean or a number; False when the byte starts none of them."""
        word = {0x6E: b"null", 0x74: b"true", 0x66: b"false"}.get(byte)
        if word is not None:
            self.take_word(word)
        elif byte == 0x2D or byte in DIGITS:
            self.take_number()
        else:
            return False
        return True

    def _skip_object(self) -> None:
        self.enter()
        first = True
        while self.next_key(first=first):
            self.take_string()
            self.colon()
            self.skip()
            first = False
        self.leave()
