"""The SQL in `sql/`: statements by name, migrations by number.

`sql/queries/<noun>.sql` holds statements, each below a line `-- name: <name>` and a line of purpose. They are
used as attributes: `VMS = queries.load("vms")`, then `VMS.get_vm`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from qarax_server.packaged import directory

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One file of `sql/migrations`."""

    number: int
    name: str
    text: str


def load(noun: str) -> SimpleNamespace:
    """Return the statements of `queries/<noun>.sql`, one attribute each."""
    return SimpleNamespace(**statements(directory("sql") / "queries" / f"{noun}.sql"))


def statements(path: Path) -> dict[str, str]:
    """Split a file into its named statements."""
    _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
    return {name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def migrations() -> list[Migration]:
    """Return all migrations in order."""
    found = sorted((directory("sql") / "migrations").glob("[0-9]*.sql"))
    return [Migration(int(path.name[:4]), path.stem, path.read_text(encoding="utf-8")) for path in found]
