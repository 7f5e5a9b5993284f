"""Which state directory a command means, and how its progress is told."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qarax_tui.stack.state import default_path


def state_dir(options: argparse.Namespace) -> Path:
    """The chosen state directory, absolute."""
    path: Path = getattr(options, "state_dir", None) or default_path()
    return path.expanduser().absolute()


def chosen(options: argparse.Namespace) -> str:
    """The option to repeat so that the next command means the same place."""
    return f" --state-dir {state_dir(options)}" if hasattr(options, "state_dir") else ""


def say_on(stream: Any) -> Callable[[str], None]:
    """Progress, a line at a time."""
    return lambda line: print(f"  {line}", file=stream, flush=True)
