"""Looks for secrets after every test of the whole run, while its files and processes are still there.

A secret is a bearer token, a private key in PEM, or one of `CANARIES`, the passwords that tests give to the
programs. It must be in no log, no argument list, no file that others may read, and no failure's text. Answers
are looked at as they come (`tests/server/running.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CANARIES = (
    "correct horse",
    "the-password-of-a-host",
    "the-password-of-the-database",
    "the-password-of-a-deployment",
    "hunter2",
)
"""Passwords for tests; each is looked for everywhere."""

_SECRET = re.compile(
    rb"qarax_[A-Za-z0-9_-]{43}|-----BEGIN [A-Z ]*PRIVATE KEY-----|"
    + b"|".join(each.encode() for each in CANARIES)
)
LOGS = (".log", ".err", ".out", ".events")
LARGEST_FILE = 8 << 20
BY_OTHERS, THROUGH = 0o004, 0o001

searched: Counter[str] = Counter()


def leak_in(data: bytes | str) -> str:
    """The kind of secret that is in there, without the secret; empty when there is none."""
    found = _SECRET.search(data.encode("utf-8", "replace") if isinstance(data, str) else data)
    if found is None:
        return ""
    text = found[0].decode()
    return text if text in CANARIES or text.startswith("-") else f"{text[:9]}…, a token"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Search what a test has left, before its fixtures clear it away."""
    places = {path for value in getattr(item, "funcargs", {}).values() for path in _places(value)}
    leaks = [leak for place in places for leak in _in_files(place)]
    leaks += [*_in_arguments(), *_in_reports(item)] if places else [*_in_reports(item)]
    assert not leaks, f"secrets where none may be: {leaks}"


def _places(value: Any) -> Iterator[Path]:
    """The directories that a fixture stands for."""
    for each in (
        value,
        getattr(value, "directory", None),
        getattr(getattr(value, "state", None), "path", None),
    ):
        if isinstance(each, Path) and each.is_dir() and len(each.parts) > 2:
            yield each


def _in_files(place: Path) -> Iterator[str]:
    for path in place.rglob("*"):
        try:
            kept = path.lstat()
            if not path.is_file() or path.is_symlink() or kept.st_size > LARGEST_FILE:
                continue
            is_log = path.suffix in LOGS
            if is_log or _by_others(path, place, kept.st_mode):
                searched["files searched for secrets"] += 1
                if leak := leak_in(path.read_bytes()):
                    yield f"{'the log' if is_log else 'the file that everybody may read'} {path}: {leak}"
        except (FileNotFoundError, PermissionError):
            continue  # a process ended and took it along


def _by_others(path: Path, place: Path, mode: int) -> bool:
    folders = [each for each in path.parents if each.is_relative_to(place) and each != place]
    return bool(mode & BY_OTHERS) and all(each.stat().st_mode & THROUGH for each in folders)


def _in_arguments() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            data = path.read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        searched["argument lists searched for secrets"] += 1
        if leak := leak_in(data):
            yield f"the arguments of process {path.parent.name}: {leak}"


def _in_reports(item: pytest.Item) -> Iterator[str]:
    """What the programs logged inside this process."""
    for when, kind, text in getattr(item, "_report_sections", ()):
        if kind in {"log", "stderr"} and (leak := leak_in(text)):
            yield f"captured {kind} of {when}: {leak}"
