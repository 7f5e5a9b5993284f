"""Holds what the wire between server and node promises: `proto/contract.txt` lists every method and field.

A line that disappears or changes breaks nodes and servers of different versions, so `make check` refuses it.
New lines are added by `make proto` (`--write`), which keeps the promise visible in a review.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from qarax_proto import node_pb2

CONTRACT = Path(__file__).resolve().parent.parent / "proto" / "contract.txt"
KINDS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def promises() -> list[str]:
    """Every method, field and enum value of node.proto, one line each."""
    lines = []
    for service in node_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            streams = f"{'stream ' * method.client_streaming}{method.input_type.name}"
            answers = f"{'stream ' * method.server_streaming}{method.output_type.name}"
            lines.append(f"rpc {service.full_name}.{method.name}({streams}) returns ({answers})")
    for message in node_pb2.DESCRIPTOR.message_types_by_name.values():
        lines.extend(_of_message(message))
    return sorted(lines)


def _of_message(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        kind = field.message_type or field.enum_type
        name = kind.full_name if kind else KINDS[field.type]
        repeated = "repeated " if field.is_repeated else ""
        yield f"field {message.full_name}.{field.name} = {field.number} {repeated}{name}"
    for enum in message.enum_types:
        yield from _of_enum(enum)
    for nested in message.nested_types:
        yield from _of_message(nested)


def _of_enum(enum: EnumDescriptor) -> Iterator[str]:
    for value in enum.values:
        yield f"value {enum.full_name}.{value.name} = {value.number}"


def main() -> int:
    """Compare with the list, or write it; 1 when something was broken or is not listed yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="add what is new to proto/contract.txt")
    write = parser.parse_args().write
    listed = CONTRACT.read_text().splitlines() if CONTRACT.exists() else []
    now = promises()
    if write:
        CONTRACT.write_text("\n".join(now) + "\n")
        return 0
    broken, fresh = sorted(set(listed) - set(now)), sorted(set(now) - set(listed))
    for line in broken:
        print(f"proto: gone or changed, which breaks nodes of another version: {line}")
    for line in fresh:
        print(f"proto: not in proto/contract.txt yet (make proto adds it): {line}")
    return 1 if broken or fresh else 0


if __name__ == "__main__":
    sys.exit(main())
