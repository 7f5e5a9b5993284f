"""The shapes serde gives to JSON: integers, strings, enums, options, lists, with serde's messages.

A shape reads a value from a `Reader` or raises `SerdeError`. Objects are in `structs.py`, what Cloud
Hypervisor's own look like in `schema.py`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor.jsonreader import DIGITS, Reader, SerdeError

if TYPE_CHECKING:
    from collections.abc import Callable


class Shape:
    """What a value must be; `expecting` is serde's word for it."""

    expecting = "any value"

    def read(self, reader: Reader) -> Any:
        raise NotImplementedError

    def dump(self, value: Any) -> Any:
        return value

    def wrong_type(self, reader: Reader) -> SerdeError:
        """`invalid type: …`, placed where serde_json places it: after a scalar, before a container."""
        byte = reader.peek()
        if byte is None:
            return reader.peek_error("EOF while parsing a value")
        seen = _describe(reader, byte)
        if seen is None:
            return reader.peek_error("expected value")
        return reader.error(f"invalid type: {seen}, expected {self.expecting}")


def _describe(reader: Reader, byte: int) -> str | None:
    if byte == 0x22:
        return "string " + rust_string(reader.take_string())
    if byte == 0x7B:
        return "map"
    if byte == 0x5B:
        return "sequence"
    if byte == 0x2D or byte in DIGITS:
        return _number(reader.take_number())
    word = {0x6E: b"null", 0x74: b"true", 0x66: b"false"}.get(byte)
    if word is None:
        return None
    reader.take_word(word)
    return "null" if word == b"null" else f"boolean `{word.decode()}`"


def _number(value: float) -> str:
    return f"integer `{value}`" if isinstance(value, int) else f"floating point `{value}`"


def rust_string(text: str) -> str:
    """As Rust's Debug prints a string."""
    return (
        '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
    )


class Integer(Shape):
    def __init__(self, name: str) -> None:
        bits = 64 if name == "usize" else int(name[1:])
        self.expecting = name
        self.low = 0 if name[0] == "u" else -(2 ** (bits - 1))
        self.high = 2**bits - 1 if name[0] == "u" else 2 ** (bits - 1) - 1

    def read(self, reader: Reader) -> int:
        byte = reader.peek()
        if byte is None or not (byte == 0x2D or byte in DIGITS):
            raise self.wrong_type(reader)
        value = reader.take_number()
        if isinstance(value, float):
            raise reader.error(f"invalid type: {_number(value)}, expected {self.expecting}")
        if not self.low <= value <= self.high:
            raise reader.error(f"invalid value: {_number(value)}, expected {self.expecting}")
        return value


class Boolean(Shape):
    expecting = "a boolean"

    def read(self, reader: Reader) -> bool:
        byte = reader.peek()
        if byte not in (0x74, 0x66):
            raise self.wrong_type(reader)
        reader.take_word(b"true" if byte == 0x74 else b"false")
        return byte == 0x74


class Text(Shape):
    """A string, checked by `check`, which raises ValueError with the message serde would carry."""

    def __init__(self, expecting: str = "a string", check: Callable[[str], str] | None = None) -> None:
        self.expecting = expecting
        self.check = check

    def read(self, reader: Reader) -> str:
        if reader.peek() != 0x22:
            raise self.wrong_type(reader)
        text = reader.take_string()
        if self.check is None:
            return text
        try:
            return self.check(text)
        except ValueError as error:
            raise reader.error(str(error)) from None


class Variant(Shape):
    """A unit enum by its PascalCase name."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def read(self, reader: Reader) -> str:
        if reader.peek() != 0x22:
            raise reader.peek_error(
                "expected value" if reader.peek() is not None else "EOF while parsing a value"
            )
        text = reader.take_string()
        if text not in self.names:
            raise reader.error(f"unknown variant `{text}`, expected {one_of(self.names)}")
        return text


def one_of(names: tuple[str, ...]) -> str:
    """As serde lists choices: one alone, two with `or`, more with `one of`."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) == 1:
        return quoted[0]
    return " or ".join(quoted) if len(quoted) == 2 else "one of " + ", ".join(quoted)


class Optional(Shape):
    def __init__(self, inner: Shape) -> None:
        self.inner = inner

    def read(self, reader: Reader) -> Any:
        if reader.peek() == 0x6E:
            reader.take_word(b"null")
            return None
        return self.inner.read(reader)

    def dump(self, value: Any) -> Any:
        return None if value is None else self.inner.dump(value)


class ListOf(Shape):
    expecting = "a sequence"

    def __init__(self, inner: Shape) -> None:
        self.inner = inner

    def read(self, reader: Reader) -> list[Any]:
        if reader.peek() != 0x5B:
            raise self.wrong_type(reader)
        reader.enter()
        values: list[Any] = []
        while reader.next_element(first=not values):
            values.append(self.inner.read(reader))
        reader.leave()
        return values

    def dump(self, value: Any) -> Any:
        return [self.inner.dump(element) for element in value]


def mac_address(text: str) -> str:
    """A MAC as Cloud Hypervisor reads one: six pairs of hexadecimal digits."""
    parts = text.split(":")
    try:
        numbers = [int(part, 16) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 6 or not all(len(part) <= 2 for part in parts):
        raise ValueError(f"The provided MAC address is invalid: parsing of {text} into a MAC address failed")
    return ":".join(f"{number:02x}" for number in numbers)


def ip_address(text: str) -> str:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except OSError:
        raise ValueError("invalid IP address syntax") from None
