"""JSON objects as serde's structs: required members, defaults, aliases, flattened and unknown ones."""

from __future__ import annotations

from typing import Any

from tests.fakes.cloud_hypervisor.jsonreader import Reader, SerdeError, Unplaced
from tests.fakes.cloud_hypervisor.shapes import Optional, Shape, one_of

REQUIRED = object()


class Field:
    """A member of a struct.

    `default` is a value or a function that makes one; REQUIRED has none. `flat` members belong to a flattened
    struct, whose errors are placed at the end of the object. `omit` is the value left out of the output;
    `keep_null` prints null for None.
    """

    def __init__(
        self,
        name: str,
        shape: Shape,
        default: Any = REQUIRED,
        *,
        aliases: tuple[str, ...] = (),
        flat: bool = False,
        omit: Any = None,
        keep_null: bool = False,
    ) -> None:
        self.name = name
        self.shape = shape
        self.default = default
        if default is REQUIRED and isinstance(shape, Optional):
            self.default = None
        self.names = (name, *aliases)
        self.flat = flat
        self.omit = omit
        self.keep_null = keep_null

    def make_default(self) -> Any:
        return self.default() if callable(self.default) else self.default


class Struct(Shape):
    def __init__(self, name: str, *fields: Field, deny_unknown: bool = False) -> None:
        self.expecting = f"struct {name}"
        self.fields = fields
        self.by_name = {alias: field for field in fields for alias in field.names}
        self.deny_unknown = deny_unknown

    def read(self, reader: Reader) -> dict[str, Any]:
        if reader.peek() != 0x7B:
            raise self.wrong_type(reader)
        reader.enter()
        try:
            values = self._members(reader)
        except Unplaced as problem:
            reader.close_quietly(0x7D)
            raise reader.error(str(problem)) from None
        reader.leave()
        try:
            return self._complete(values)
        except Unplaced as problem:
            raise reader.error(str(problem)) from None

    def _members(self, reader: Reader) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first = True
        while reader.next_key(first=first):
            first = False
            key = reader.take_string()
            field = self.by_name.get(key)
            if field is None and self.deny_unknown:
                names = tuple(field.name for field in self.fields)
                raise Unplaced(f"unknown field `{key}`, expected {one_of(names)}")
            if field is not None and field.name in values:
                raise Unplaced(f"duplicate field `{field.name}`")
            reader.colon()
            if field is None:
                reader.skip()
            else:
                values[field.name] = self._member(reader, field)
        return values

    def _member(self, reader: Reader, field: Field) -> Any:
        if not field.flat:
            return field.shape.read(reader)
        reader.peek()
        start = reader.index
        reader.skip()
        return _Buffered(reader.data[start : reader.index])

    def _complete(self, values: dict[str, Any]) -> dict[str, Any]:
        whole = {}
        for field in self.fields:
            if field.name not in values:
                if field.default is REQUIRED:
                    raise Unplaced(f"missing field `{field.name}`")
                whole[field.name] = field.make_default()
                continue
            value = values[field.name]
            whole[field.name] = value.read(field.shape) if isinstance(value, _Buffered) else value
        return whole

    def make_default(self) -> dict[str, Any]:
        """The object that stands where none was given."""
        return {field.name: field.make_default() for field in self.fields}

    def dump(self, value: Any) -> Any:
        """The object as the API prints it: what is unset is left out."""
        printed: dict[str, Any] = {}
        for field in self.fields:
            member = value[field.name]
            if member is None and field.keep_null:
                printed[field.name] = None
            elif member is not None and member is not field.omit:
                printed[field.name] = field.shape.dump(member)
        return printed


class _Buffered:
    """A flattened member: read now, understood when its object ends."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, shape: Shape) -> Any:
        try:
            return shape.read(Reader(self.data))
        except SerdeError as error:
            raise Unplaced(str(error).rsplit(" at line ", 1)[0]) from None


def read_document(shape: Shape, data: bytes) -> Any:
    """Read a whole body; raises SerdeError."""
    reader = Reader(data)
    value = shape.read(reader)
    reader.end()
    return value
