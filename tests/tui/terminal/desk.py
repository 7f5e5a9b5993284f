"""A dashboard at a real terminal, and what may be written to that terminal."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from qarax_tui.widgets.row_painter import CURSOR_SIGN
from tests.fakes.control_plane import ControlPlane
from tests.tui.terminal.pty_screen import Terminal

OWN_SEQUENCE = re.compile(rb"\x1b(?:\[[<>=?]?[0-9;:]*\$?[a-zA-Z@]|\]22;[a-z-]+\x07|[=>78])")
"""What Textual writes: control sequences, and of the operating system commands only the pointer's shape."""
FOREIGN = (b"31337", b"]52;", b"]0;PWNED")


def assert_only_own_bytes(raw: bytes) -> None:
    """No control byte, and no sequence that holds a mark of `FOREIGN`; the last one may be cut short."""
    assert b"Traceback" not in raw
    for foreign in FOREIGN:
        assert not re.search(rb"\x1b[^a-zA-Z]{0,12}" + re.escape(foreign), raw)
    rest = OWN_SEQUENCE.sub(b"", raw).replace(b"\x1b(B", b"").replace(b"\x1b\\", b"")
    rest = re.sub(rb"\x1b[^a-zA-Z]{0,40}\Z", b"", rest).replace(b"\r", b"")
    assert not re.findall(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", rest)
    text = rest.decode("utf-8", "replace")
    assert not re.search("[\x80-\x9f\u202a-\u202e\u2066-\u2069]", text)


@asynccontextmanager
async def dashboard(
    folder: Path, plane: ControlPlane, *arguments: str, **options: Any
) -> AsyncIterator[Terminal]:
    async with Terminal(folder, "--server", plane.url, *arguments, **options) as terminal:
        yield terminal


async def welcomed(terminal: Terminal) -> None:
    """Past the first-run help, on the list."""
    await terminal.shows("Welcome")
    terminal.press("\r")
    await terminal.until(lambda: "Welcome" not in terminal.text and CURSOR_SIGN in terminal.text)


def under_cursor(terminal: Terminal) -> str:
    """The name in the row under the cursor."""
    found = [line.split()[1] for line in terminal.lines if line.lstrip().startswith(CURSOR_SIGN)]
    return found[0] if len(found) == 1 else ""
