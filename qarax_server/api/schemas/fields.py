"""The kinds of values a request may carry: stricter than marshmallow's own, one sentence per refusal.

JSON has types, so a body's `"5"` is no number and its `1` no boolean. Query strings have none, so `Query*`
reads text. Each kind shows up in the OpenAPI document through its validators. Next step: the nouns' schemas.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from marshmallow import ValidationError, fields, validate

from qarax_server.models import NAME_PATTERN

MAX_INTEGER = 2**63 - 1
"""What PostgreSQL's bigint holds."""

DRIVERS = ("cloud_hypervisor", "qemu", "simulated")
UUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
MAC_PATTERN = "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"
HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


def matches(pattern: str, sentence: str) -> validate.Regexp:
    r"""A whole-string match: `$` alone would let a final newline through.

    Args:
        pattern: anchored with `^` and `$`, as the OpenAPI document shows it.
        sentence: what the operator reads.
    """
    return _WholeMatch(pattern, error=sentence)


class _WholeMatch(validate.Regexp):
    def __call__(self, value: Any) -> Any:
        if not self.regex.fullmatch(value):
            raise ValidationError(self._format_error(value))
        return value


class Text(fields.String):
    """A string; no control characters unless `multiline`, and never a NUL (the JSON reader sees to that)."""

    def __init__(self, *, multiline: bool = False, longest: int = 4096, **kwargs: Any) -> None:
        validators = _listed(kwargs.pop("validate", None))
        super().__init__(validate=[validate.Length(max=longest), *validators], **kwargs)
        self.multiline = multiline

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        allowed = "\n\t" if self.multiline else ""
        if any(not character.isprintable() and character not in allowed for character in text):
            raise ValidationError("Only printable characters.")
        return text


class Name(fields.String):
    """1-63 letters, digits, `.`, `_`, `-`, starting with a letter or digit."""

    def __init__(self, **kwargs: Any) -> None:
        sentence = "1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit."
        super().__init__(validate=matches(NAME_PATTERN, sentence), **kwargs)


class Id(fields.String):
    """A UUID in its usual spelling; handed on in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"format": "uuid"} | kwargs.pop("metadata", {})
        sentence = "A UUID such as 3f2c8a52-0f1e-4c6b-9d0a-5b7e2d1c4f60."
        super().__init__(validate=matches(UUID_PATTERN, sentence), metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        return text.lower()


class Choice(fields.String):
    """One of a few words."""

    def __init__(self, *choices: str, **kwargs: Any) -> None:
        super().__init__(validate=validate.OneOf(choices, error="One of: {choices}."), **kwargs)


class Whole(fields.Integer):
    """A whole number between two bounds, both allowed."""

    def __init__(self, smallest: int, largest: int, **kwargs: Any) -> None:
        validators = _listed(kwargs.pop("validate", None))
        bounds = validate.Range(min=smallest, max=largest, error="From {min} to {max}.")
        super().__init__(strict=True, validate=[bounds, *validators], **kwargs)

    def _validated(self, value: Any) -> int:
        # JSON has one kind of number: 2.0 is as whole as 2.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return super()._validated(value)


class Bytes(Whole):
    """A size in bytes."""

    def __init__(self, smallest: int = 0, **kwargs: Any) -> None:
        metadata = {"format": "int64"} | kwargs.pop("metadata", {})
        super().__init__(smallest, MAX_INTEGER, metadata=metadata, **kwargs)


class Flag(fields.Boolean):
    """True or false; not 1, not "yes"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        del attr, data, kwargs
        if isinstance(value, bool):
            return value
        raise ValidationError("true or false.")


class QueryWhole(Whole):
    """A whole number in a query string."""

    def _validated(self, value: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", str(value)):
            raise ValidationError("A whole number.")
        return super()._validated(int(value))


class QueryFlag(fields.Boolean):
    """`true` or `false` in a query string."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        del attr, data, kwargs
        if value not in {"true", "false"}:
            raise ValidationError("true or false.")
        return bool(value == "true")


class Address(fields.String):
    """An IP address or a host name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Length(min=1, max=253), _address], **kwargs)


class IpAddress(fields.String):
    """An IPv4 or IPv6 address without a prefix length or zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_ip_address, **kwargs)


class NetworkMask(fields.String):
    """A mask whose ones are together: `255.255.255.0`, `ffff:ffff::`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_mask, **kwargs)


class Mac(fields.String):
    """A unicast MAC address."""

    def __init__(self, **kwargs: Any) -> None:
        sentence = "A MAC address such as 52:54:00:12:34:56."
        super().__init__(validate=[matches(MAC_PATTERN, sentence), _unicast], **kwargs)


class InterfaceName(fields.String):
    """A Linux network interface name: at most 15 characters, no slash, colon or space."""

    def __init__(self, **kwargs: Any) -> None:
        sentence = (
            "An interface name: 1 to 15 letters, digits, '.', '_' or '-', starting with a letter or digit."
        )
        super().__init__(validate=matches(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$", sentence), **kwargs)


class AbsolutePath(Text):
    """An absolute path, already normal: no `..`, no `.`, no doubled or final slash; never `/` itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=1024, validate=_normal_path, **kwargs)


class FreeObject(fields.Dict):
    """A JSON object of the client's own making."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keys=fields.String(), **kwargs)


class Time(fields.String):
    """RFC 3339, UTC; only ever answered."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"format": "date-time", "example": "2030-01-02T03:04:05.678901+00:00"}
        super().__init__(metadata=metadata | kwargs.pop("metadata", {}), **kwargs)


def power_of_two(value: int) -> None:
    """Refuse a number that is none."""
    if value & (value - 1):
        raise ValidationError("A power of two.")


def inside(path: str, directory: str) -> bool:
    """Whether a normal absolute path lies beneath a directory, by its text alone."""
    return PurePosixPath(directory) in PurePosixPath(path).parents


def example_of(schema: Any) -> Any:
    """An example of a whole body, put together from the examples of its fields."""
    answer = {name: _example_of_field(field) for name, field in schema.fields.items()}
    return [answer] if schema.many else answer


def _example_of_field(field: fields.Field[Any]) -> Any:
    if "example" in field.metadata:
        return field.metadata["example"]
    if isinstance(field, fields.Nested):
        return example_of(field.schema)
    if isinstance(field, fields.List):
        return [_example_of_field(field.inner)]
    return None


def _listed(validators: Any) -> Sequence[Any]:
    if validators is None:
        return ()
    return validators if isinstance(validators, Sequence) else (validators,)


def _address(value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        looks_numeric = re.fullmatch(r"[0-9.]+", value)
        if looks_numeric or not HOST_NAME.fullmatch(value):
            raise ValidationError("An IP address or a host name.") from None


def _ip_address(value: str) -> None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValidationError("An IPv4 or IPv6 address.") from None
    if "%" in value or address.is_multicast:
        raise ValidationError("A unicast address without a zone.")


def _mask(value: str) -> None:
    try:
        mask = ipaddress.ip_address(value)
    except ValueError:
        raise ValidationError("A mask such as 255.255.255.0.") from None
    zeros = 2**mask.max_prefixlen - 1 - int(mask)
    if zeros & (zeros + 1):
        raise ValidationError("A mask whose ones are together, such as 255.255.255.0.")


def _unicast(value: str) -> None:
    first = value[:2]
    if re.fullmatch("[0-9a-fA-F]{2}", first) and int(first, 16) & 1:
        raise ValidationError("A unicast address: the lowest bit of its first byte is 0.")


def _normal_path(value: str) -> None:
    path = PurePosixPath(value)
    if not path.is_absolute() or str(path) != value or ".." in path.parts or value in {"/", "//"}:
        raise ValidationError("An absolute path without '..', '.', doubled or final slashes.")
