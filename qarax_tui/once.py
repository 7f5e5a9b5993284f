"""`qarax --once NOUN`: a list on standard output, as aligned columns or as the API's JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from qarax_tui.client.api import Api
from qarax_tui.client.records import Json, Noun
from qarax_tui.client.sanitise import safe
from qarax_tui.client.settings import ClientSettings
from qarax_tui.screens.format import size

NOUNS: Final[Mapping[str, tuple[Noun, Sequence[str]]]] = {
    "vms": ("vm", ("name", "status", "driver", "boot_vcpus", "memory_size", "host_id", "id")),
    "hosts": ("host", ("name", "status", "address", "port", "cpus", "memory_bytes", "id")),
    "storage-pools": ("storage_pool", ("name", "pool_type", "status", "capacity_bytes", "id")),
    "storage-objects": ("storage_object", ("name", "object_type", "size_bytes", "id")),
    "boot-sources": ("boot_source", ("name", "kernel_params", "id")),
    "transfers": ("transfer", ("name", "status", "transferred_bytes", "total_bytes", "error_message", "id")),
    "orphans": ("orphan", ("name", "status", "host_id", "ignored", "vm_id")),
    "operations": ("operation", ("action", "subject_name", "status", "reason", "started_at", "id")),
}
_SIZES = frozenset(
    {"memory_size", "memory_bytes", "capacity_bytes", "size_bytes", "total_bytes", "transferred_bytes"}
)


def print_list(settings: ClientSettings, noun: str, output: str) -> int:
    """Returns the exit code; raises ClientError when there is no answer."""
    if noun not in NOUNS:
        print(f"There is no list {noun}; there are {', '.join(NOUNS)}.", file=sys.stderr)  # noqa: T201
        return 2
    wanted, columns = NOUNS[noun]
    rows = asyncio.run(_fetch(settings, wanted))
    print(json.dumps(rows, indent=2) if output == "json" else _table(rows, columns))  # noqa: T201
    return 0


async def _fetch(settings: ClientSettings, noun: Noun) -> list[Json]:
    async with Api(settings.server, settings.token) as api:
        return [row async for page in api.pages(noun) for row in page]


def _table(rows: Sequence[Json], columns: Sequence[str]) -> str:
    lines = [[column.upper() for column in columns]]
    lines += [[_word(column, row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _word(column: str, value: Any) -> str:
    if value is None:
        return "-"
    return size(value) if column in _SIZES and isinstance(value, int) else safe(value)
