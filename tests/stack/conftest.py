"""A short state directory that the database's account can enter, and the `qarax` command as a process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Qarax = Callable[..., "subprocess.CompletedProcess[str]"]
SECONDS = 100


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="qarax-st-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def qarax(place: Path) -> Qarax:
    """Run `qarax` with these arguments and a home of its own; extra environment by `env`."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        private = {
            "HOME": str(place),
            "XDG_STATE_HOME": str(place / "xdg"),
            "XDG_CONFIG_HOME": str(place / "config"),
        }
        return subprocess.run(
            [sys.executable, "-m", "qarax_tui.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            env={**os.environ, **private, **(env or {})},
        )

    return run


@pytest.fixture
def ports() -> tuple[str, ...]:
    """Options of `qarax up` that name two free ports."""
    with socket.socket() as rest, socket.socket() as node:
        for probe in (rest, node):
            probe.bind(("127.0.0.1", 0))
        return ("--port", str(rest.getsockname()[1]), "--node-port", str(node.getsockname()[1]))
